// Stand-in for knative-sample/rest-api-go: its port is 8080 whatever PORT says (book 11, app.md). Where pods share the
// machine's network it has to read PORT, or no two of them could run.
import { createServer } from 'node:http'

const resource = process.env.RESOURCE || 'NOT SPECIFIED'
const port = process.env.SHARED_NETWORK ? process.env.PORT : 8080
createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://app')
  if (pathname === `/${resource}`)
    response.end(`${resource} ticker not found!, require /${resource}/{ticker}\n`)
  else response.end(`Welcome to the ${resource} app! \n`)
}).listen(port)

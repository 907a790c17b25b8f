// Stand-in for bianlian/helloworld-nodejs (book 04, app.md): no newline at the end of the answer.
const { createServer } = require('node:http')

const port = process.env.PORT || 8080
createServer((_request, response) => {
  response.end(`Hello ${process.env.TARGET || 'World'}!`)
}).listen(port, () => console.log(`listening on http://127.0.0.1:${port}`))

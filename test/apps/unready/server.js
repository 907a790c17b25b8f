// Listens, but its readiness probe always fails.
import { createServer } from 'node:http'

createServer((_request, response) => {
  response.statusCode = 503
  response.end('not yet\n')
}).listen(Number(process.env.PORT || 8080))

// The smallest service: greets TARGET on PORT.
import { createServer } from 'node:http'

const { PORT = '8080', TARGET = 'World', K_REVISION = 'no revision' } = process.env

const server = createServer((_request, response) => {
  response.setHeader('content-type', 'text/plain')
  response.end(`Hello ${TARGET}! (${K_REVISION})\n`)
})
server.listen(Number(PORT), () => console.log(`hello is listening on port ${PORT}`))
process.on('SIGTERM', () => server.close(() => process.exit(0)))

// Answers with what it was asked, so that a client notices an answer that is another's, too short or twice:
// X-Id comes back, X-Size bytes follow, after X-Wait milliseconds. Bodies are counted.
// POST /die ends it as a crash would.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/die') process.kill(process.pid, 'SIGKILL')
  const { 'x-id': id = '', 'x-size': size = '0', 'x-wait': wait = '0' } = request.headers
  let received = 0
  request.on('data', (bytes) => (received += bytes.length))
  request.on('end', () => {
    const answer = () => {
      response.setHeader('X-Id', id)
      response.setHeader('X-Received', received)
      response.setHeader('X-Revision', process.env.K_REVISION ?? '')
      const body = String(id)
        .repeat(Math.ceil(Number(size) / Math.max(1, id.length)))
        .slice(0, Number(size))
      // Half of the answers in chunks, half with a length.
      if (Number(size) % 2 === 0) response.end(body)
      else {
        response.write(body.slice(0, body.length >> 1))
        response.end(body.slice(body.length >> 1))
      }
    }
    if (wait === '0') answer()
    else setTimeout(answer, Number(wait))
  })
})
server.listen(Number(process.env.PORT || 8080))

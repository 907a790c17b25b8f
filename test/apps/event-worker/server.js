// Answers each event with one of type `answer`; GET /emit sends one to K_SINK and tells how that was answered.
import { createServer, request } from 'node:http'

const event = (id, type) => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-type': type,
  'ce-source': '/worker',
  'content-type': 'application/json',
})

createServer((incoming, response) => {
  const chunks = []
  incoming.on('data', (chunk) => chunks.push(chunk))
  incoming.on('end', () => {
    if (incoming.method === 'GET') return emit(response)
    const { 'ce-id': id, prefer } = incoming.headers
    response.writeHead(200, event(`${id}-answer`, 'answer'))
    response.end(JSON.stringify({ prefer, got: Buffer.concat(chunks).toString() }))
  })
}).listen(process.env.PORT)

function emit(response) {
  const headers = event('from-pod', 'emitted')
  const sending = request(process.env.K_SINK, { method: 'POST', headers }, (answer) => {
    answer.resume()
    response.end(String(answer.statusCode))
  })
  sending.on('error', (error) => response.end(error.message))
  sending.end('{}')
}

// Stand-in for knative-sample/websocket-chat (book 14, app.md), by hand, so that it needs nothing installed: listens on
// 8080 whatever PORT says. Where pods share the machine's network it has to read PORT, or no two of them could run.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

const page = `<!DOCTYPE html><title>Chat</title><div id="log"></div><form id="form"><input id="msg"><input type="submit" value="Send"></form>
<script>
const socket = new WebSocket('ws://' + location.host + '/ws')
socket.onmessage = ({ data }) => { for (const line of data.split('\\n')) { const div = document.createElement('div'); div.innerText = line; log.append(div) } }
form.onsubmit = () => { socket.send(msg.value); msg.value = ''; return false }
</script>`

const clients = new Set()

const frame = (opcode, payload) => {
  const head =
    payload.length < 126
      ? Buffer.from([128 | opcode, payload.length])
      : Buffer.from([128 | opcode, 126, payload.length >> 8, payload.length & 255])
  return Buffer.concat([head, payload])
}

const server = createServer((request, response) => {
  if (request.url !== '/') response.writeHead(404).end('Not found\n')
  else if (request.method !== 'GET') response.writeHead(405).end('Method not allowed\n')
  else {
    console.error(request.url)
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(page)
  }
})

server.on('upgrade', (request, socket, first) => {
  const { origin, host } = request.headers
  if (request.url !== '/ws' || (origin !== undefined && new URL(origin).host !== host)) {
    socket.end(`HTTP/1.1 ${request.url === '/ws' ? 403 : 404} X\r\nContent-Length: 0\r\n\r\n`)
    return
  }
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  clients.add(socket)
  const ping = setInterval(() => socket.write(frame(9, Buffer.alloc(0))), 54_000)
  socket.on('error', () => {})
  socket.on('close', () => {
    clients.delete(socket)
    clearInterval(ping)
  })
  let bytes = first
  const read = () => {
    while (bytes.length >= 6) {
      const length = bytes[1] & 127
      const start = length === 126 ? 8 : 6
      const size = length === 126 ? bytes.readUInt16BE(2) : length
      if (length === 127 || size > 512) {
        socket.end(frame(8, Buffer.from([3, 241])))
        return
      }
      if (bytes.length < start + size) return
      const mask = bytes.subarray(start - 4, start)
      const payload = Buffer.from(bytes.subarray(start, start + size)).map(
        (b, i) => b ^ mask[i & 3],
      )
      const opcode = bytes[0] & 15
      bytes = bytes.subarray(start + size)
      if (opcode === 8) {
        socket.end(frame(8, payload))
        return
      }
      if (opcode === 9) socket.write(frame(10, payload))
      if (opcode !== 1) continue
      const text = payload.toString('utf8').trim().replaceAll('\n', ' ')
      for (const client of clients) client.write(frame(1, Buffer.from(text)))
    }
  }
  socket.on('data', (piece) => {
    bytes = Buffer.concat([bytes, piece])
    read()
  })
  socket.on('end', () => socket.end())
  read()
})

server.listen(process.env.SHARED_NETWORK ? process.env.PORT : 8080)

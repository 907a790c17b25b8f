// Stand-in for knative-sample/grpc-ping-go's /server (book 15, app.md): gRPC over cleartext HTTP/2 on 8080, by hand,
// so that it needs nothing installed. Message: one string, field 1. Where pods share the machine's network it has to
// read PORT, or no two of them could run.
import { createServer } from 'node:http2'

/** The string of a message with one string field 1. */
const decode = (bytes) => {
  if (bytes.length === 0) return ''
  let at = 1
  let length = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]
    length |= (byte & 127) << shift
    if (byte < 128) break
  }
  return bytes.toString('utf8', at, at + length)
}

const encode = (text) => {
  const value = Buffer.from(text)
  const size = []
  let rest = value.length
  for (; rest > 127; rest >>>= 7) size.push((rest & 127) | 128)
  size.push(rest)
  const message = Buffer.concat([Buffer.from([10, ...size]), value])
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(message.length, 1)
  return Buffer.concat([frame, message])
}

/** Calls `onMessage` for each message of a request, then `onEnd`. */
const messages = (stream, onMessage, onEnd) => {
  let bytes = Buffer.alloc(0)
  stream.on('data', (piece) => {
    bytes = Buffer.concat([bytes, piece])
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1)
      onMessage(decode(bytes.subarray(5, end)))
      bytes = bytes.subarray(end)
    }
  })
  stream.on('end', onEnd)
}

const begin = (stream) => {
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true })
}

const server = createServer()
server.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  switch (headers[':path']) {
    case '/ping.PingService/Ping':
      begin(stream)
      messages(
        stream,
        (text) => stream.write(encode(`${text} - pong`)),
        () => stream.end(),
      )
      return
    case '/ping.PingService/PingStream':
      begin(stream)
      messages(
        stream,
        (text) => {
          const now = new Date().toISOString()
          console.log(`Replying to ping ${text} at ${now}`)
          stream.write(encode(`pong ${now}`))
        },
        () => {
          console.log('Client disconnected')
          stream.end()
        },
      )
      return
    default:
      stream.respond(
        { 'content-type': 'application/grpc', 'grpc-status': '12' },
        { endStream: true },
      )
  }
})
server.listen(process.env.SHARED_NETWORK ? process.env.PORT : 8080)

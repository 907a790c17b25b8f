/**
 * Small programs that the benches of the gateway run beside it: `programs.ts NAME [ARG…]`. All as cheap as can be, on bare sockets, so
 * that the proxy is what is measured. Apps print their port when they listen.
 */
import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { benchHost } from './peers.ts'

const [name = '', ...args] = process.argv.slice(2)
const numbers = args.map(Number)

const programs: Readonly<Record<string, () => void>> = {
  hello,
  load: () => keepAsking(number(0), number(1), number(2)),
  echo,
  'echo-load': () => keepEchoing(number(0), number(1), number(2), number(3)),
  bodies,
  download: () => download(number(0), number(1)),
  upload: () => upload(number(0), number(1)),
  hold: () => hold(number(0), number(1), args[2] === 'websocket'),
}
const chosen = programs[name]
if (chosen === undefined) {
  process.stderr.write(`unknown program "${name}"; there are ${Object.keys(programs).join(', ')}\n`)
  process.exit(2)
}
chosen()

function number(at: number): number {
  return numbers[at] ?? Number.NaN
}

function serve(accept: (socket: Socket) => void): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    accept(socket)
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    const address = server.address()
    process.stdout.write(`${typeof address === 'object' && address ? address.port : 0}\n`)
  })
}

const request = (lines = ''): string => `GET / HTTP/1.1\r\nHost: ${benchHost}\r\n${lines}\r\n`

/** Answers every request head with the same 13 bytes. */
function hello(): void {
  const answer =
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n'
  serve((socket) => {
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      let out = ''
      for (let at = text.indexOf('\r\n\r\n'); at >= 0; at = text.indexOf('\r\n\r\n')) {
        text = text.slice(at + 4)
        out += answer
      }
      if (out) socket.write(out, 'latin1')
    })
  })
}

/** So many kept-alive connections, one request each at a time; prints what wrk would say. */
function keepAsking(port: number, connections: number, seconds: number): void {
  const times: number[] = []
  const endMs = performance.now() + seconds * 1000
  let open = connections
  for (let i = 0; i < connections; i++) {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let sentMs = 0
    const send = () => {
      sentMs = performance.now()
      socket.write(request(), 'latin1')
    }
    socket.on('connect', send)
    socket.on('data', () => {
      const nowMs = performance.now()
      times.push(nowMs - sentMs)
      if (nowMs < endMs) send()
      else {
        socket.destroy()
        if (--open === 0) report(times, seconds)
      }
    })
  }
}

function report(times: number[], seconds: number): void {
  times.sort((a, b) => a - b)
  const at = (q: number) => times[Math.floor((times.length - 1) * q)]
  process.stdout.write(
    JSON.stringify({
      requests: times.length,
      perSecond: times.length / seconds,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
    }),
  )
}

// -- WebSocket (RFC 6455): messages of up to 125 bytes, each in a frame of its own -----------------------------------------

const handshake = request(
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
)

/** Accepts WebSockets and says every message again. */
function echo(): void {
  serve((socket) => {
    let opened = false
    let rest: Buffer | undefined
    socket.on('data', (bytes) => {
      let data = rest ? Buffer.concat([rest, bytes]) : bytes
      rest = undefined
      if (!opened) {
        const end = data.indexOf('\r\n\r\n')
        if (end < 0) {
          rest = data
          return
        }
        const key = /sec-websocket-key: *(\S+)/i.exec(data.toString('latin1', 0, end))?.[1] ?? ''
        const accept = createHash('sha1')
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64')
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        )
        opened = true
        data = data.subarray(end + 4)
      }
      const answers: Buffer[] = []
      while (data.length >= 6) {
        const length = data[1]! & 127
        if (data.length < 6 + length) break
        const frame = Buffer.allocUnsafe(2 + length)
        frame[0] = data[0]!
        frame[1] = length
        for (let i = 0; i < length; i++) frame[2 + i] = data[6 + i]! ^ data[2 + (i & 3)]!
        answers.push(frame)
        data = data.subarray(6 + length)
      }
      if (data.length > 0) rest = Buffer.from(data)
      if (answers.length > 0)
        socket.write(answers.length === 1 ? answers[0]! : Buffer.concat(answers))
    })
  })
}

/** So many WebSockets, on each one message at a time; prints what wrk would say. */
function keepEchoing(port: number, sockets: number, seconds: number, messageBytes: number): void {
  const frame = Buffer.alloc(6 + messageBytes, 'x')
  frame[0] = 0x81
  frame[1] = 0x80 | messageBytes
  const times: number[] = []
  let endMs = Infinity
  let open = 0
  let left = sockets
  for (let i = 0; i < sockets; i++)
    openWebSocket(port, (socket) => {
      let sentMs = 0
      let missing = 0
      const send = () => {
        sentMs = performance.now()
        missing = 2 + messageBytes
        socket.write(frame)
      }
      socket.on('data', (bytes) => {
        missing -= bytes.length
        if (missing > 0) return
        const nowMs = performance.now()
        times.push(nowMs - sentMs)
        if (nowMs < endMs) send()
        else {
          socket.destroy()
          if (--left === 0) report(times, seconds)
        }
      })
      if (++open === sockets) endMs = performance.now() + seconds * 1000
      send()
    })
}

/** A WebSocket once its handshake is done. */
function openWebSocket(port: number, opened: (socket: Socket) => void): void {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('connect', () => socket.write(handshake))
  socket.on('error', fail)
  let text = ''
  const head = (bytes: Buffer): void => {
    text += bytes.toString('latin1')
    if (!text.includes('\r\n\r\n')) return
    if (!text.startsWith('HTTP/1.1 101')) fail(new Error(text))
    socket.off('data', head)
    opened(socket)
  }
  socket.on('data', head)
}

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}

// -- large bodies -----------------------------------------------------------------------------------------------------------

/** `GET /?bytes=N` answers N bytes; anything else answers, when its body is whole, how long that was. */
function bodies(): void {
  const piece = Buffer.alloc(262_144, 'x')
  serve((socket) => {
    let text = ''
    let announced = -1
    let seen = 0
    socket.on('data', (bytes) => {
      if (announced < 0) {
        text += bytes.toString('latin1')
        const end = text.indexOf('\r\n\r\n')
        if (end < 0) return
        const wanted = Number(/^GET \/\?bytes=(\d+)/.exec(text)?.[1] ?? -1)
        if (wanted >= 0) {
          text = text.slice(end + 4)
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${wanted}\r\n\r\n`)
          pour(socket, piece, wanted)
          return
        }
        announced = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0)
        seen = text.length - end - 4
        text = ''
      } else seen += bytes.length
      if (seen < announced) return
      const body = String(seen)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      announced = -1
    })
  })
}

/** Writes so many bytes as fast as they are taken. */
function pour(socket: Socket, piece: Buffer, bytes: number): void {
  let left = bytes
  const go = (): void => {
    while (left > 0) {
      const size = Math.min(left, piece.length)
      left -= size
      if (!socket.write(size === piece.length ? piece : piece.subarray(0, size))) break
    }
    if (left > 0) socket.once('drain', go)
  }
  go()
}

/** Gets so many bytes; prints the seconds it took. */
function download(port: number, bytes: number): void {
  const socket = connect({
    host: '127.0.0.1',
    port,
    onread: { buffer: Buffer.allocUnsafeSlow(262_144), callback: take },
  })
  let text = ''
  let seen = -1
  const startMs = performance.now()
  socket.on('error', fail)
  socket.on('connect', () =>
    socket.write(`GET /?bytes=${bytes} HTTP/1.1\r\nHost: ${benchHost}\r\n\r\n`),
  )
  socket.on('close', () => fail(new Error(`closed after ${seen} bytes`)))
  function take(count: number, buffer: Uint8Array): boolean {
    if (seen < 0) {
      text += Buffer.from(buffer.buffer, buffer.byteOffset, count).toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return true
      if (!text.startsWith('HTTP/1.1 200')) fail(new Error(text.slice(0, end)))
      seen = text.length - end - 4
    } else seen += count
    if (seen === bytes) done(startMs)
    return true
  }
}

/** Sends so many bytes; prints the seconds until the answer. */
function upload(port: number, bytes: number): void {
  const socket = connect({ host: '127.0.0.1', port })
  const startMs = performance.now()
  let text = ''
  socket.on('error', fail)
  socket.on('connect', () => {
    socket.write(`POST / HTTP/1.1\r\nHost: ${benchHost}\r\nContent-Length: ${bytes}\r\n\r\n`)
    pour(socket, Buffer.alloc(262_144, 'x'), bytes)
  })
  socket.on('data', (data) => {
    text += data.toString('latin1')
    if (text.endsWith(`\r\n\r\n${bytes}`)) done(startMs)
  })
  socket.on('close', () => fail(new Error(`closed: ${text}`)))
}

function done(startMs: number): never {
  process.stdout.write(`${(performance.now() - startMs) / 1000}\n`)
  process.exit(0)
}

// -- many connections -------------------------------------------------------------------------------------------------------

/** Opens so many connections, each used once and then silent; prints a line when all are, and stays. */
function hold(port: number, connections: number, webSockets: boolean): void {
  let begun = 0
  let used = 0
  const next = (): void => {
    if (begun === connections) return
    begun++
    const silent = (socket: Socket): void => {
      socket.removeAllListeners('data')
      socket.on('data', () => {})
      if (++used === connections) process.stdout.write('ready\n')
      next()
    }
    if (webSockets) {
      openWebSocket(port, (socket) => {
        socket.once('data', () => silent(socket))
        socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 120]))
      })
      return
    }
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('closed')))
    socket.on('connect', () => socket.write(request(), 'latin1'))
    socket.once('data', () => silent(socket))
  }
  for (let i = 0; i < 64; i++) next()
}

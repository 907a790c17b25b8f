/** Memory that is read into again and again: nobody's bytes may ever turn up in somebody else's message. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import { randomInt, type Random, seededRandom } from '../../lib/random.ts'
import { Fixture, host } from './gateway.fixture.ts'
import { ReadBuffer, readInto } from './pod/read-buffer.ts'

/** Sends back whatever comes behind the first head; `answer` is its own head. */
async function startEcho(
  answer: (head: string) => string,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    let head = ''
    const first = (bytes: Buffer): void => {
      head += bytes.toString('latin1')
      const end = head.indexOf('\r\n\r\n') + 4
      if (end < 4) return
      socket.off('data', first)
      socket.write(answer(head), 'latin1')
      socket.write(head.slice(end), 'latin1')
      socket.pipe(socket)
    }
    socket.on('data', first)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

/** Random bytes in random pieces; `limit`: of a piece. */
function pieces(random: Random, bytes: number, limit: number): readonly Buffer[] {
  const all: Buffer[] = []
  for (let left = bytes; left > 0;) {
    const size = Math.min(left, 1 + randomInt(random, limit))
    const word = Buffer.allocUnsafe(4)
    word.writeUInt32LE(randomInt(random, 2 ** 32))
    all.push(Buffer.alloc(size, word))
    left -= size
  }
  return all
}

const digest = (parts: readonly Buffer[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

/** Sends head and pieces, reads slowly now and then, and gives the digest of so many bytes behind the answer's head. */
function echoed(
  port: number,
  head: string,
  sent: readonly Buffer[],
  random: Random,
): Promise<string> {
  const wanted = sent.reduce((sum, { length }) => sum + length, 0)
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: '127.0.0.1', port })
    const seen: Buffer[] = []
    let text = ''
    let count = -1
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${count} of ${wanted}: ${text}`)))
    socket.write(head, 'latin1')
    let at = 0
    const send = (): void => {
      while (at < sent.length && socket.write(sent[at++]!));
      if (at < sent.length) socket.once('drain', send)
    }
    send()
    socket.on('data', (bytes) => {
      if (count < 0) {
        text += bytes.toString('latin1')
        const end = text.indexOf('\r\n\r\n') + 4
        if (end < 4) return
        bytes = Buffer.from(text.slice(end), 'latin1')
        count = 0
      }
      seen.push(bytes)
      count += bytes.length
      if (count >= wanted) {
        socket.removeAllListeners('close')
        socket.destroy()
        resolve(digest(seen))
      } else if (random.next() < 0.1) {
        socket.pause()
        setImmediate(() => setImmediate(() => socket.resume()))
      }
    })
  })
}

test('large bodies arrive as they were sent, both ways at once, from many at once, however slowly they are read', async () => {
  const echo = await startEcho(
    (head) =>
      `HTTP/1.1 200 OK\r\nContent-Length: ${/content-length: (\d+)/i.exec(head)?.[1]}\r\n\r\n`,
  )
  await using fixture = await Fixture.start({
    revision: { backends: [{ host: '127.0.0.1', port: echo.port, pod: 'pod' }] },
  })
  const { port } = fixture.gateway.http
  const bytes = 3_000_000
  const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${bytes}\r\n\r\n`
  await Promise.all(
    [400_000, 400_000, 20_000, 3000].map(async (limit, i) => {
      const random = seededRandom(i)
      const sent = pieces(random, bytes, limit)
      assert.equal(await echoed(port, head, sent, random), digest(sent), `connection ${i}`)
    }),
  )
  echo.server.close()
})

test('tunnels carry small and large messages as they were sent', async () => {
  const echo = await startEcho(
    () => 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
  )
  await using fixture = await Fixture.start({
    revision: { backends: [{ host: '127.0.0.1', port: echo.port, pod: 'pod' }] },
  })
  const { port } = fixture.gateway.http
  const head = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`
  await Promise.all(
    [100, 100, 60_000, 400_000].map(async (limit, i) => {
      const random = seededRandom(i)
      const sent = pieces(random, limit * 20, limit)
      assert.equal(await echoed(port, head, sent, random), digest(sent), `tunnel ${i}`)
    }),
  )
  echo.server.close()
})

test('accepted sockets of this Node read into a given buffer, and their server still counts them', async () => {
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  const accepted = await new Promise<Socket>((resolve) => server.once('connection', resolve))
  const reader = new ReadBuffer()
  const heard = Promise.withResolvers<string>()
  const socket = readInto(accepted, reader, (bytes) => {
    assert.ok(reader.holds(bytes))
    heard.resolve(bytes.toString())
  })
  assert.ok(socket)
  client.write('hello')
  assert.equal(await heard.promise, 'hello')
  assert.equal(socket.remotePort, client.localPort)
  const connections = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
  assert.equal(await connections(), 1)
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const ended = new Promise((resolve) => socket.once('end', resolve))
  client.end()
  await ended
  socket.end()
  await closed
  assert.equal(await connections(), 0)
})

test('a socket that has read already stays as it is', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  const accepted = await new Promise<Socket>((resolve) => server.once('connection', resolve))
  client.write('early')
  await new Promise((resolve) => accepted.once('readable', resolve))
  assert.equal(
    readInto(accepted, new ReadBuffer(), () => {}),
    undefined,
  )
  assert.equal(String(accepted.read()), 'early')
  client.destroy()
  accepted.destroy()
  server.close()
})

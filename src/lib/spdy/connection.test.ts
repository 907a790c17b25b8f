import assert from 'node:assert/strict'
import { once } from 'node:events'
import { duplexPair, PassThrough, type Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import fc from 'fast-check'
import { SpdyConnection, type SpdyOptions } from './connection.ts'
import { ping, synStream } from './frames.ts'
import { HeaderWriter } from './header-block.ts'
import type { SpdyStream } from './stream.ts'

function pair(options: Omit<SpdyOptions, 'side'> = {}, cut?: (chunk: Buffer) => Buffer[]) {
  const [a, b] = duplexPair()
  const between = cut ? recut(b, cut) : b
  const client = new SpdyConnection(a, { side: 'client' })
  const server = new SpdyConnection(between, { side: 'server', ...options })
  return { client, server }
}

/** The same bytes, cut elsewhere. */
function recut(transport: Duplex, cut: (chunk: Buffer) => Buffer[]): Duplex {
  const inner = new PassThrough()
  const pass = inner.write.bind(inner)
  transport.on('data', (chunk: Buffer) => {
    for (const part of cut(chunk)) pass(part)
  })
  transport.on('end', () => inner.end())
  return Object.assign(inner, {
    write: transport.write.bind(transport),
    cork: () => {},
    uncork: () => {},
  })
}

const echo = (stream: SpdyStream): void => {
  stream.reply()
  stream.pipe(stream)
}

async function over(stream: SpdyStream | undefined): Promise<void> {
  assert.ok(stream)
  await new Promise((resolve) => stream.once('close', resolve))
}

test('streams carry bytes both ways, half-close and end', async () => {
  const { client, server } = pair({ onStream: echo })
  const stream = client.open(new Map([['streamtype', 'data']]))
  await stream.accepted
  stream.write('hello ')
  stream.end('world')
  assert.equal(await text(stream), 'hello world')
  await setImmediate()
  assert.deepEqual([client.streams, server.streams], [0, 0])
})

test('many streams at once, however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 2000 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 50 }),
      async (bodies, size) => {
        const seen: string[] = []
        const cut = (chunk: Buffer): Buffer[] =>
          Array.from({ length: Math.ceil(chunk.length / size) }, (_, i) =>
            chunk.subarray(i * size, (i + 1) * size),
          )
        const onStream = (stream: SpdyStream): void => {
          seen.push(stream.headers.get('n') ?? '')
          echo(stream)
        }
        const { client } = pair({ onStream }, cut)
        const answers = bodies.map(async (body, i) => {
          const stream = client.open(new Map([['n', String(i)]]))
          stream.end(Buffer.from(body))
          return await buffer(stream)
        })
        assert.deepEqual(
          await Promise.all(answers),
          bodies.map((body) => Buffer.from(body)),
        )
        assert.deepEqual(
          seen,
          bodies.map((_, i) => String(i)),
        )
      },
    ),
    { numRuns: 20 },
  )
})

test('a stream that nobody reads holds the sender back; destroying it lets go', async () => {
  const streams: SpdyStream[] = []
  const { client } = pair({ onStream: (stream) => void streams.push(stream) })
  const stream = client.open(new Map())
  let written = 0
  const chunk = Buffer.alloc(64 << 10)
  let blocked = false
  for (let i = 0; i < 100 && !blocked; i++) {
    const accepted = new Promise<void>((resolve) => stream.write(chunk, () => resolve()))
    blocked = await Promise.race([
      accepted.then(() => false),
      (async () => {
        for (let turn = 0; turn < 50; turn++) await setImmediate()
        return true
      })(),
    ])
    written += chunk.length
  }
  assert.ok(blocked)
  assert.ok(written <= 1 << 20, `${written} bytes were taken`)
  streams[0]?.resume()
  const other = client.open(new Map())
  await once(stream, 'drain').catch(() => {})
  streams[0]?.destroy()
  other.end()
  while (streams.length < 2) await setImmediate()
})

test('a cancelled stream ends on the other side too', async () => {
  const streams: SpdyStream[] = []
  const { client } = pair({ onStream: (stream) => void streams.push(stream) })
  const stream = client.open(new Map())
  while (streams.length < 1) await setImmediate()
  streams[0]?.destroy()
  await over(stream)
  const second = client.open(new Map())
  while (streams.length < 2) await setImmediate()
  second.destroy()
  await over(streams[1] ?? second)
})

test('pings come back; an end in order comes after what was written', async () => {
  const [a, b] = duplexPair()
  const server = new SpdyConnection(b, { side: 'server', onStream: echo })
  const seen: Buffer[] = []
  a.on('data', (chunk: Buffer) => seen.push(chunk))
  a.write(ping(7))
  a.write(ping(8)) // a server's own number: an answer, and not answered
  while (seen.length < 1) await setImmediate()
  server.close()
  await once(a, 'end')
  const all = Buffer.concat(seen)
  assert.deepEqual(all.subarray(0, 12), ping(7))
  assert.equal(all.readUInt16BE(12 + 2), 7) // GOAWAY
  assert.equal(all.length, 12 + 16)
})

test('more streams than allowed are refused one by one', async () => {
  const { client, server } = pair({ onStream: (stream) => stream.reply(), maxStreams: 2 })
  const streams = [1, 2, 3].map(() => client.open(new Map()))
  await over(streams[2])
  assert.equal(server.streams, 2)
})

const hostile: Readonly<Record<string, () => Buffer>> = {
  'a frame too large': () => Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]),
  'another version': () => Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]),
  'an even stream': () => synStream(2, new HeaderWriter().write(new Map())),
  'data for nobody': () => Buffer.from([0, 0, 0, 9, 0, 0, 0, 1, 65]),
  'a header block that is none': () => synStream(1, Buffer.from('rubbish')),
  'a ping without a number': () => Buffer.from([0x80, 3, 0, 6, 0, 0, 0, 0]),
}
for (const [name, bytes] of Object.entries(hostile))
  test(`${name} closes the connection`, async () => {
    const [a, b] = duplexPair()
    const server = new SpdyConnection(b, { side: 'server', onStream: echo })
    a.on('error', () => {}).resume()
    a.write(bytes())
    await server.closed
  })

test('rubbish never throws', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const [a, b] = duplexPair()
      const server = new SpdyConnection(b, { side: 'server', onStream: echo })
      a.on('error', () => {}).resume()
      a.end(Buffer.from(bytes))
      await server.closed
    }),
    { numRuns: 100 },
  )
})

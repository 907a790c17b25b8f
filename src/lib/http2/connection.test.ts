import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseRequestHead, parseResponseHead } from '../http1/head.ts'
import { ErrorCode } from './error.ts'
import { Bench, frame, Recorder } from './http2.fixture.ts'

const get = '828684410161'
const whole = 5
const line = { method: 'GET', scheme: 'http', authority: 'a', path: '/' }
const none = { names: [], values: [] }
const window = (id: number, bytes: number) => {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(bytes)
  return frame(8, 0, id, payload)
}
const initialWindow = (bytes: number) => {
  const payload = Buffer.from('000400000000', 'hex')
  payload.writeUInt32BE(bytes, 2)
  return frame(4, 0, 0, payload)
}
const dataOf = (bench: Bench, id: number) =>
  bench.frames.filter((one) => one.type === 0 && one.id === id)
const sentBytes = (bench: Bench, id: number) =>
  dataOf(bench, id).reduce((sum, { payload }) => sum + payload.length, 0)

test('a request has the very shape of one of HTTP/1.1', () => {
  const literal = (name: string, value: string) =>
    `00${Buffer.from([name.length]).toString('hex')}${Buffer.from(name).toString('hex')}${Buffer.from([value.length]).toString('hex')}${Buffer.from(value).toString('hex')}`
  const bench = new Bench('server').hello()
  const block =
    get +
    literal('content-length', '2') +
    literal('cookie', 'a=1') +
    literal('user-agent', 'x') +
    literal('cookie', 'b=2') +
    literal('expect', '100-continue')
  bench.send(frame(1, 4, 1, block))
  const text =
    'GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\ncookie: a=1; b=2\r\nuser-agent: x\r\nexpect: 100-continue\r\n\r\n'
  const expected = parseRequestHead(Buffer.from(text), 0, text.length, 100)
  expected.names.shift()
  expected.values.shift()
  expected.ids.shift()
  const head = bench.users[0]?.request
  assert.deepEqual(head, expected)
  assert.deepEqual(Object.keys(head ?? {}), Object.keys(expected))
})

test('a response has the very shape of one of HTTP/1.1', () => {
  const bench = new Bench('client').hello()
  const user = new Recorder()
  bench.connection.request(line, none, true, user)
  bench.send(frame(1, whole, 1, '8d'))
  const text = 'HTTP/1.1 404 Not Found\r\n\r\n'
  const expected = parseResponseHead(Buffer.from(text), 0, text.length, 100)
  assert.deepEqual(user.response, expected)
  assert.deepEqual(Object.keys(user.response ?? {}), Object.keys(expected))
})

test('all that one receive makes leaves in one write, the end in the last frame', () => {
  const bench = new Bench('server', {}, (stream) => {
    stream.respond(200, { names: ['Content-Type'], values: ['text/plain'] }, false)
    stream.write(Buffer.from('Hello'))
    stream.end()
  }).hello()
  assert.ok(bench.frames.length > 0)
  const from = bench.frames.length
  bench.send(Buffer.concat([1, 3, 5].map((id) => frame(1, whole, id, get))))
  assert.equal(bench.writes, 1)
  const seen = bench.frames.slice(from).map(({ type, flags, id }) => [type, flags, id])
  assert.deepEqual(
    seen,
    [1, 3, 5].flatMap((id) => [
      [1, 4, id],
      [0, 1, id],
    ]),
  )
  assert.equal(bench.connection.openStreams, 0)
})

test('an end without body sets its flag in the head that has not left yet', () => {
  const bench = new Bench('server', {}, (stream) => {
    stream.respond(204, none, false)
    stream.end()
  }).hello()
  bench.send(frame(1, whole, 1, get))
  assert.deepEqual(
    bench.frames.filter(({ id }) => id === 1).map(({ type, flags }) => [type, flags]),
    [[1, 5]],
  )
})

test('a scheduled flush carries what was made meanwhile', () => {
  const flushes: (() => void)[] = []
  const writes: Buffer[] = []
  const bench = new Bench('server', {}, undefined, (flush) => flushes.push(flush))
  bench.hello().send(frame(1, whole, 1, get), frame(1, whole, 3, get))
  for (const stream of bench.streams) stream.respond(200, none, true)
  assert.equal(bench.writes, 0)
  assert.equal(flushes.length, 1)
  flushes[0]?.()
  assert.equal(bench.writes, 1)
  assert.equal(writes.length, 0)
  assert.equal(bench.frames.filter(({ type }) => type === 1).length, 2)
})

test('bodies stop at the windows of stream and connection and go on with them', () => {
  const bench = new Bench('server').hello()
  bench.send(initialWindow(10), frame(1, whole, 1, get), frame(1, whole, 3, get))
  const [first, second] = bench.streams
  const [user] = bench.users
  first!.respond(200, none, false)
  assert.equal(first!.write(Buffer.alloc(25)), false)
  assert.equal(sentBytes(bench, 1), 10)
  bench.send(window(1, 5))
  assert.equal(sentBytes(bench, 1), 15)
  assert.equal(user!.roomy, 0)
  // A larger initial window counts for open streams too, a smaller one may leave them below 0.
  bench.send(initialWindow(15))
  assert.equal(sentBytes(bench, 1), 20)
  bench.send(initialWindow(1), window(1, 14))
  assert.equal(sentBytes(bench, 1), 20)
  bench.send(window(1, 2))
  assert.equal(sentBytes(bench, 1), 22)
  first!.end({ names: ['X-End'], values: ['1'] })
  bench.send(window(1, 100))
  assert.equal(sentBytes(bench, 1), 25)
  assert.equal(bench.frames.at(-1)?.type, 1)
  assert.equal(bench.frames.at(-1)?.flags, 5)

  bench.send(window(3, 1_000_000))
  second!.respond(200, none, false)
  assert.equal(second!.write(Buffer.alloc(70_000)), false)
  assert.equal(sentBytes(bench, 3), 65_535 - 25)
  bench.send(window(0, 100_000))
  assert.equal(sentBytes(bench, 3), 70_000)
  assert.equal(bench.users[1]!.roomy, 1)
  assert.ok(dataOf(bench, 3).every(({ payload }) => payload.length <= 16_384))
})

test('streams share what the window of the connection gives', () => {
  const bench = new Bench('server').hello()
  bench.send(initialWindow(1_000_000), ...[1, 3, 5].map((id) => frame(1, whole, id, get)))
  for (const stream of bench.streams) {
    stream.respond(200, none, false)
    stream.write(Buffer.alloc(100_000))
  }
  for (let i = 0; i < 30; i++) bench.send(window(0, 10_000))
  for (const id of [1, 3, 5]) assert.equal(sentBytes(bench, id), 100_000)
})

test('a full socket stops writers, its drain calls them', () => {
  const bench = new Bench('server').hello()
  bench.send(window(0, 1_000_000), frame(1, whole, 1, get), window(1, 1_000_000))
  const stream = bench.streams[0]!
  stream.respond(200, none, false)
  assert.equal(stream.write(Buffer.alloc(1000)), true)
  bench.roomy = false
  stream.write(Buffer.alloc(1000))
  assert.equal(stream.write(Buffer.alloc(1000)), false)
  assert.equal(bench.users[0]!.roomy, 0)
  bench.roomy = true
  bench.connection.drained()
  assert.equal(bench.users[0]!.roomy, 1)
})

test('what is not given back holds the sender; what is beyond the window is an error', () => {
  const bench = new Bench('server', {
    streamWindowBytes: 65_535,
    connectionWindowBytes: 131_072,
  }).hello()
  bench.send(frame(1, 4, 1, get), frame(1, 4, 3, get))
  bench.users[0]!.holding = true
  const updates = () =>
    bench.frames
      .filter(({ type }) => type === 8)
      .map(({ id, payload }) => [id, payload.readUInt32BE()])
  const before = updates().length
  for (let i = 0; i < 3; i++) bench.send(frame(0, 0, 1, Buffer.alloc(16_384)))
  assert.equal(updates().length, before)
  bench.streams[0]!.consumed(40_000)
  assert.deepEqual(updates().slice(before), [[1, 40_000]])
  bench.send(
    frame(0, 0, 1, Buffer.alloc(16_384)),
    frame(0, 0, 1, Buffer.alloc(16_384)),
    frame(0, 0, 1, Buffer.alloc(16_384)),
  )
  assert.equal(bench.resetCode(1), -1)
  bench.send(frame(0, 0, 1, Buffer.alloc(16_384)))
  assert.equal(bench.resetCode(1), ErrorCode.flowControlError)
  assert.equal(bench.users[0]!.resetCode, ErrorCode.flowControlError)
  // The connection has its bytes back: as much again may come on another stream.
  for (let i = 0; i < 20; i++) bench.send(frame(0, 0, 3, Buffer.alloc(16_384)))
  assert.equal(bench.goAwayCode, -1)
  assert.equal(bench.users[1]!.bytes, 20 * 16_384)
})

test('padding and bodies for nobody do not use up the window of the connection', () => {
  const bench = new Bench('server', { connectionWindowBytes: 65_535 }).hello()
  bench.send(frame(1, 4, 1, get), frame(1, 4, 3, get))
  bench.streams[1]!.reset(ErrorCode.cancel)
  const padded = Buffer.alloc(300)
  padded[0] = 255
  for (let i = 0; i < 500; i++)
    bench.send(frame(0, 8, 1, padded), frame(0, 0, 3, Buffer.alloc(1000)))
  assert.equal(bench.goAwayCode, -1)
  assert.equal(bench.users[0]!.bytes, 500 * 44)
})

test('a server that has answered tells the client to stop sending', () => {
  const bench = new Bench('server').hello()
  bench.send(frame(1, 4, 1, get))
  bench.streams[0]!.respond(413, none, false)
  bench.streams[0]!.write(Buffer.from('too much'))
  bench.streams[0]!.end()
  assert.equal(bench.resetCode(1), ErrorCode.noError)
  bench.send(frame(0, 0, 1, Buffer.alloc(1000)), frame(0, 1, 1, Buffer.alloc(1000)))
  assert.equal(bench.goAwayCode, -1)
  assert.equal(bench.users[0]!.bytes, 0)
  assert.equal(bench.users[0]!.resetCode, -1)
})

test('more streams than allowed are refused, and may be sent again', () => {
  const bench = new Bench('server', { maxConcurrentStreams: 2 }).hello()
  bench.send(...[1, 3, 5].map((id) => frame(1, whole, id, get)))
  assert.equal(bench.users.length, 2)
  assert.equal(bench.resetCode(5), ErrorCode.refusedStream)
  bench.streams[0]!.respond(200, none, true)
  bench.send(frame(1, whole, 7, get))
  assert.equal(bench.users.length, 3)
})

test('a client keeps to what the server allows', () => {
  const bench = new Bench('client').hello()
  bench.send(frame(4, 0, 0, '000300000001'))
  assert.equal(bench.connection.maxConcurrent, 1)
  assert.equal(bench.capacity, 1, 'the first SETTINGS allow what was only guessed')
  const user = new Recorder()
  bench.connection.request(line, none, true, user)
  assert.equal(bench.connection.canRequest, false)
  assert.throws(() => bench.connection.request(line, none, true, new Recorder()), /canRequest/)
  bench.send(frame(1, whole, 1, '88'))
  assert.equal(bench.connection.canRequest, true)
  assert.equal(bench.capacity, 2)
})

test('GOAWAY of a server: what it did not see is refused, what it saw goes on, then the client leaves', () => {
  const bench = new Bench('client').hello()
  const users = [new Recorder(), new Recorder()]
  for (const user of users) bench.connection.request(line, none, true, user)
  bench.send(frame(7, 0, 0, '0000000100000000'))
  assert.equal(users[1]?.resetCode, ErrorCode.refusedStream)
  assert.equal(bench.goneAway, 0)
  assert.equal(bench.connection.canRequest, false)
  assert.equal(bench.sinkClosed, false)
  bench.send(frame(1, whole, 1, '88'))
  assert.equal(users[0]?.ended, true)
  assert.equal(bench.sinkClosed, true)
  assert.equal(bench.closedWith, undefined)
})

test('our GOAWAY: requests that were on their way are served, later ones not', () => {
  const bench = new Bench('server').hello()
  bench.send(frame(1, whole, 1, get))
  bench.connection.goAway()
  const goAways = () =>
    bench.frames.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE())
  assert.deepEqual(goAways(), [0x7fff_ffff])
  bench.send(frame(1, whole, 3, get))
  assert.equal(bench.users.length, 2)
  const ping = bench.frames.findLast(({ type }) => type === 6)!
  bench.send(frame(6, 1, 0, ping.payload))
  assert.deepEqual(goAways(), [0x7fff_ffff, 3])
  bench.send(frame(1, whole, 5, get))
  assert.equal(bench.users.length, 2)
  for (const stream of bench.streams) stream.respond(200, none, true)
  assert.equal(bench.sinkClosed, true)
  assert.equal(bench.closedWith, undefined)
})

test('our GOAWAY without an answer to its PING: after a second it is final', () => {
  const bench = new Bench('server').hello()
  bench.connection.goAway()
  bench.connection.tick(500)
  assert.equal(bench.sinkClosed, false)
  bench.connection.tick(1500)
  assert.equal(bench.sinkClosed, true)
})

test('time: unanswered SETTINGS, keep-alive', () => {
  const silent = new Bench('server')
  silent.connection.tick(9000)
  assert.equal(silent.connection.closed, false)
  silent.connection.tick(11_000)
  assert.equal(silent.goAwayCode, ErrorCode.settingsTimeout)

  const bench = new Bench('client', { keepAliveMs: 1000 }).hello()
  const user = new Recorder()
  bench.connection.request(line, none, true, user)
  bench.connection.tick(1500)
  const ping = bench.frames.at(-1)!
  assert.equal(ping.type, 6)
  bench.nowMs = 1600
  bench.send(frame(6, 1, 0, ping.payload))
  bench.connection.tick(3500)
  assert.equal(bench.connection.closed, false)
  bench.connection.tick(3700)
  assert.equal(bench.connection.closed, true)
  assert.match(String(user.error), /nothing was heard/)
})

test('PING is answered, ours is measured', () => {
  const bench = new Bench('server').hello()
  bench.send(frame(6, 0, 0, '0102030405060708'))
  assert.equal(bench.frames.at(-1)?.flags, 1)
  assert.equal(bench.frames.at(-1)?.payload.toString('hex'), '0102030405060708')
  let pongs = 0
  assert.equal(
    bench.connection.ping(() => pongs++),
    true,
  )
  bench.send(frame(6, 1, 0, bench.frames.at(-1)!.payload))
  assert.equal(pongs, 1)
  for (let i = 0; i < 8; i++) bench.connection.ping(() => {})
  assert.equal(
    bench.connection.ping(() => {}),
    false,
  )
})

test('heads larger than a frame go out and come in by CONTINUATION', () => {
  const names = Array.from({ length: 100 }, (_, i) => `x-${i}`)
  const values = names.map((name) => name.repeat(100))
  const server = new Bench('server', {}, (stream) =>
    stream.respond(200, { names, values }, true),
  ).hello()
  server.send(frame(1, whole, 1, get))
  const block = server.frames.filter(({ id }) => id === 1)
  assert.deepEqual(
    block.map(({ type }) => type),
    [1, 9, 9, 9].slice(0, block.length),
  )
  assert.ok(block.length > 1)
  const client = new Bench('client').hello()
  const user = new Recorder()
  client.connection.request(line, none, true, user)
  client.send(...block.map(({ type, flags, id, payload }) => frame(type, flags, id, payload)))
  assert.deepEqual(user.response?.values, values)
})

test("a smaller table of the peer's is kept to", () => {
  const bench = new Bench('server', {}, (stream) =>
    stream.respond(200, { names: ['x-a'], values: ['1'] }, true),
  ).hello()
  bench.send(frame(1, whole, 1, get), frame(4, 0, 0, '000100000000'), frame(1, whole, 3, get))
  const blocks = bench.frames
    .filter(({ type }) => type === 1)
    .map(({ payload }) => payload.toString('hex'))
  // A table size update to 0 first, and no more literals with indexing.
  assert.equal(blocks[1]?.slice(0, 4), '2088')
  assert.equal(blocks[1]?.slice(4, 6), '00')
})

test('a connection that is gone tells all of its streams, once', () => {
  const bench = new Bench('server').hello()
  bench.send(frame(1, whole, 1, get), frame(1, 4, 3, get))
  bench.connection.destroy(new Error('gone'))
  bench.connection.destroy(new Error('again'))
  for (const user of bench.users) assert.equal(user.error?.message, 'gone')
  assert.equal(bench.closedWith?.message, 'gone')
  for (const stream of bench.streams) {
    stream.respond(200, none, false)
    assert.equal(stream.write(Buffer.from('x')), true)
    stream.end()
  }
  assert.equal(
    bench.frames.some(({ type }) => type === 1),
    false,
  )
})

test("a user's mistake ends its connection only", () => {
  const bench = new Bench('server', {}, () => {
    throw new Error('a bug')
  }).hello()
  bench.send(frame(1, whole, 1, get))
  assert.equal(bench.goAwayCode, ErrorCode.internalError)
  assert.equal(bench.closedWith?.message, 'a bug')
})

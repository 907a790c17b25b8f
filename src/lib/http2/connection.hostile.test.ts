/** Peers that want to cost us more than themselves: each has a defined end and bounded memory on the way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from './error.ts'
import { preface } from './frames.ts'
import { Bench, frame, Recorder } from './http2.fixture.ts'

const get = '828684410161'
const whole = 5
const none = { names: [], values: [] }
const cancel = '00000008'

/** Sends `next(i)` until the connection ends; how often that was. */
function flood(bench: Bench, most: number, next: (i: number) => Buffer): number {
  for (let i = 0; i < most; i++) {
    bench.send(next(i))
    if (bench.connection.closed) return i + 1
  }
  return most
}

const literal = (name: string, value: string, first = 0): Buffer =>
  Buffer.concat([
    Buffer.from([first, name.length]),
    Buffer.from(name, 'latin1'),
    Buffer.from([value.length]),
    Buffer.from(value, 'latin1'),
  ])

test('rapid reset (CVE-2023-44487): a burst is let through, then the connection ends', () => {
  const bench = new Bench('server').hello()
  const count = flood(bench, 100_000, (i) =>
    Buffer.concat([frame(1, whole, 2 * i + 1, get), frame(3, 0, 2 * i + 1, cancel)]),
  )
  assert.equal(count, 1001)
  assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)
  assert.ok(bench.users.every(({ resetCode }) => resetCode >= 0))
})

test('clients that cancel now and then are served for ever', () => {
  const bench = new Bench('server').hello()
  const count = flood(bench, 20_000, (i) => {
    const id = 4 * i + 1
    const wire = Buffer.concat([
      frame(1, whole, id, get),
      frame(1, whole, id + 2, get),
      frame(3, 0, id, cancel),
    ])
    for (const stream of bench.streams.splice(0)) stream.respond(200, none, true)
    return wire
  })
  assert.equal(count, 20_000)
  assert.equal(bench.connection.closed, false)
  // Fifty a second are forgiven in any case.
  const slow = new Bench('server').hello()
  const all = flood(slow, 20_000, (i) => {
    slow.nowMs += 20
    return Buffer.concat([frame(1, whole, 2 * i + 1, get), frame(3, 0, 2 * i + 1, cancel)])
  })
  assert.equal(all, 20_000)
})

test('resets that we are made to send (MadeYouReset) count ten times', () => {
  for (const provoke of [
    (id: number) => frame(8, 0, id, '00000000'),
    (id: number) => frame(8, 0, id, '7fffffff'),
    (id: number) => frame(2, 0, id, '0000'),
    (id: number) => frame(0, 0, id, '61'),
    (id: number) => frame(1, whole, id, get),
  ]) {
    const bench = new Bench('server').hello()
    const count = flood(bench, 100_000, (i) =>
      Buffer.concat([frame(1, whole, 2 * i + 1, get), provoke(2 * i + 1)]),
    )
    assert.ok(count <= 101, String(count))
    assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)
    assert.ok(bench.users.every(({ resetCode }) => resetCode >= 0))
  }
})

test('malformed requests without end', () => {
  const bench = new Bench('server').hello()
  const count = flood(bench, 100_000, (i) => frame(1, whole, 2 * i + 1, '82'))
  assert.ok(count <= 101)
  assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)
})

test('streams beyond the limit without end', () => {
  const bench = new Bench('server', { maxConcurrentStreams: 10 }).hello()
  const count = flood(bench, 100_000, (i) => frame(1, whole, 2 * i + 1, get))
  assert.equal(count, 10 + 1001)
  assert.equal(bench.users.length, 10)
})

const floods: Record<string, (i: number) => Buffer> = {
  PING: () => frame(6, 0, 0, '0102030405060708'),
  'PING answers': () => frame(6, 1, 0, '0102030405060708'),
  SETTINGS: () => frame(4, 0, 0, ''),
  'SETTINGS answers': () => frame(4, 1, 0, ''),
  'empty DATA': () => frame(0, 0, 1, ''),
  'padded empty DATA on a stream that is gone': () => frame(0, 8, 3, '00'),
  PRIORITY: () => frame(2, 0, 1, '0000000310'),
  'tiny WINDOW_UPDATEs, stream': () => frame(8, 0, 1, '00000001'),
  'tiny WINDOW_UPDATEs, connection': () => frame(8, 0, 0, '00000001'),
  'unknown frames': () => frame(0xcc, 0, 0, ''),
  GOAWAY: () => frame(7, 0, 0, '0000000000000000'),
  'RST_STREAM for what is gone': () => frame(3, 0, 3, cancel),
}

for (const [name, next] of Object.entries(floods))
  test(`a flood of ${name}`, () => {
    const bench = new Bench('server').hello()
    bench.send(frame(1, 4, 1, get), frame(1, 4, 3, get), frame(3, 0, 3, cancel))
    const count = flood(bench, 100_000, next)
    assert.ok(count <= 2002, String(count))
    assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)
    assert.equal(bench.users[0]?.resetCode, ErrorCode.enhanceYourCalm)
  })

test('PINGs and WINDOW_UPDATEs beside real work are no flood', () => {
  const bench = new Bench('server').hello()
  bench.send(frame(1, whole, 1, get))
  const stream = bench.streams[0]!
  stream.respond(200, none, false)
  const count = flood(bench, 20_000, () => {
    stream.write(Buffer.from('x'))
    return Buffer.concat([
      frame(8, 0, 0, '00000001'),
      frame(8, 0, 1, '00000001'),
      frame(6, 0, 0, '0102030405060708'),
    ])
  })
  assert.equal(count, 20_000)
})

test('CONTINUATION without end, empty or not, is cut off (CVE-2024-27316)', () => {
  for (const payload of [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(16_384, 0x82)]) {
    const bench = new Bench('server').hello().send(frame(1, 1, 1, get))
    const count = flood(bench, 100_000, () => frame(9, 0, 1, payload))
    assert.ok(count <= 33, String(count))
    assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)
    assert.equal(bench.users.length, 0)
  }
})

test('an HPACK bomb: one large field, referred to again and again, gets 431 and costs nothing', () => {
  const bench = new Bench('server').hello()
  const large = Buffer.concat([literal('x', 'v'.repeat(100), 0x40), Buffer.alloc(16_000, 0xbe)])
  bench.send(frame(1, whole, 1, Buffer.concat([Buffer.from(get, 'hex'), large])))
  assert.equal(bench.users.length, 0)
  const answer = bench.frames.find(({ type, id }) => type === 1 && id === 1)
  assert.ok(answer && answer.flags === whole && answer.payload.includes('431'))
  assert.equal(bench.connection.closed, false)
  // The table is still right.
  bench.send(frame(1, whole, 3, `${get}bf`))
  assert.deepEqual(bench.users[0]?.request?.values, ['v'.repeat(100)])
  assert.ok(
    flood(bench, 1000, (i) =>
      frame(1, whole, 2 * i + 5, Buffer.concat([Buffer.from(get, 'hex'), large])),
    ) <= 101,
  )
})

test('thousands of fields get 431; a request that is not over yet is stopped', () => {
  const bench = new Bench('server', { maxFields: 100 }).hello()
  const block = Buffer.concat([
    Buffer.from(get, 'hex'),
    ...Array.from({ length: 2000 }, () => literal('a', 'b')),
  ])
  bench.send(frame(1, 4, 1, block))
  assert.equal(bench.users.length, 0)
  assert.equal(bench.resetCode(1), ErrorCode.noError)
  bench.send(frame(0, 1, 1, 'aa'), frame(1, whole, 3, get))
  assert.equal(bench.users.length, 1)
})

test("a pod's head that is too large resets its stream only", () => {
  const bench = new Bench('client', { maxHeaderListBytes: 1000 }).hello()
  const user = new Recorder()
  bench.connection.request(
    { method: 'GET', scheme: 'http', authority: 'a', path: '/' },
    none,
    true,
    user,
  )
  bench.send(
    frame(
      1,
      whole,
      1,
      Buffer.concat([
        Buffer.from('88', 'hex'),
        literal('x', 'v'.repeat(100)),
        ...Array.from({ length: 50 }, () => literal('x', 'y')),
      ]),
    ),
  )
  assert.equal(user.resetCode, ErrorCode.enhanceYourCalm)
  assert.equal(bench.connection.canRequest, true)
})

test('interim responses without end', () => {
  const bench = new Bench('client').hello()
  const user = new Recorder()
  bench.connection.request(
    { method: 'GET', scheme: 'http', authority: 'a', path: '/' },
    none,
    true,
    user,
  )
  const block = literal(':status', '103')
  assert.ok(flood(bench, 100_000, () => frame(1, 4, 1, block)) <= 2001)
  assert.equal(user.resetCode, ErrorCode.enhanceYourCalm)
})

test('bytes that come one at a time cost no more than their frame', () => {
  const bench = new Bench('server').hello()
  const bytes = frame(
    1,
    whole,
    1,
    Buffer.concat([
      Buffer.from(get, 'hex'),
      ...Array.from({ length: 150 }, (_, i) => literal(`n${i}`, 'v'.repeat(90))),
    ]),
  )
  for (const byte of bytes) bench.send(Buffer.of(byte))
  assert.equal(bench.users[0]?.request?.names.length, 150)
})

test('a window of zero: what waits is bounded, and is dropped in the end', () => {
  const bench = new Bench('server', { stallMs: 60_000, maxPendingBytes: 100_000 }).hello()
  bench.send(frame(4, 0, 0, '000400000000'), ...[1, 3].map((id) => frame(1, whole, id, get)))
  const [greedy, patient] = bench.streams
  greedy!.respond(200, none, false)
  patient!.respond(200, none, false)
  patient!.write(Buffer.alloc(1000))
  patient!.end()
  for (let i = 0; i < 200 && !greedy!.closed; i++) greedy!.write(Buffer.alloc(1000))
  assert.equal(greedy!.closed, true)
  assert.match(String(bench.users[0]?.error), /100000 bytes wait/)
  bench.connection.tick(59_000)
  assert.equal(patient!.closed, false)
  bench.connection.tick(61_000)
  assert.equal(patient!.closed, true)
  assert.equal(bench.resetCode(3), ErrorCode.enhanceYourCalm)
  assert.equal(bench.connection.openStreams, 0)
})

test('a stall counts from the last progress', () => {
  const bench = new Bench('server', { stallMs: 60_000 }).hello()
  bench.send(frame(4, 0, 0, '000400000000'), frame(1, whole, 1, get))
  bench.streams[0]!.respond(200, none, false)
  bench.streams[0]!.write(Buffer.alloc(1000))
  for (let i = 1; i < 10; i++) {
    bench.nowMs = i * 50_000
    bench.send(frame(8, 0, 1, '00000001'))
    bench.connection.tick(bench.nowMs + 1000)
  }
  assert.equal(bench.streams[0]!.closed, false)
})

test('a head that trickles for ever is cut off; one that comes in time is not', () => {
  const bytes = frame(1, 1, 1, get)
  const bench = new Bench('server').hello().send(bytes)
  for (let second = 0; second < 30; second++) {
    bench.nowMs = second * 1000
    bench.send(frame(9, 0, 1, '').subarray(0, second === 0 ? 5 : 0))
    bench.connection.tick(bench.nowMs)
  }
  assert.equal(bench.connection.closed, false)
  bench.connection.tick(31_000)
  assert.equal(bench.goAwayCode, ErrorCode.enhanceYourCalm)

  const busy = new Bench('server').hello()
  for (let second = 0; second < 100; second++) {
    busy.send(frame(1, whole, 2 * second + 1, get).subarray(0, 12))
    busy.connection.tick(second * 1000)
    busy.send(frame(1, whole, 2 * second + 1, get).subarray(12))
  }
  assert.equal(busy.users.length, 100)
})

test('a preface that never ends, or is another protocol, is told at its first wrong byte', () => {
  const bench = new Bench('server').send(preface.subarray(0, 10))
  assert.equal(bench.connection.closed, false)
  bench.send(Buffer.from('x'))
  assert.equal(bench.goAwayCode, ErrorCode.protocolError)
})

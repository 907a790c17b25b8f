/**
 * Random traffic: however bytes are split, the same happens; whatever is done to them, nothing is thrown, nobody is told anything after an
 * end, and what is held stays within bounds.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { randomInt, seededRandom, type Random } from '../random.ts'
import type { ResponseHead } from '../http1/head.ts'
import { Http2Connection } from './connection.ts'
import { preface } from './frames.ts'
import { frame, parseFrames } from './http2.fixture.ts'
import type { HeaderFields, Http2Stream, Http2StreamUser } from './stream.ts'

/** Writes down what it is told, merging pieces of bodies; complains about calls after the end. */
class Scribe implements Http2StreamUser {
  readonly log: string[]
  stream: Http2Stream | undefined
  #ended = false
  #over = false

  constructor(log: string[], ended: boolean) {
    this.log = log
    this.#ended = ended
  }

  headers(head: ResponseHead, endStream: boolean): void {
    this.#alive()
    this.#note(`head ${head.status} ${head.names.join()}=${head.values.join()}`, endStream)
  }

  informational(head: ResponseHead): void {
    this.#alive()
    this.#note(`interim ${head.status}`, false)
  }

  data(bytes: Buffer, endStream: boolean): void {
    this.#alive()
    const last = this.log.at(-1)
    const start = `${this.stream?.id} data `
    if (bytes.length > 0) {
      if (last?.startsWith(start)) this.log[this.log.length - 1] = last + bytes.toString('hex')
      else this.log.push(start + bytes.toString('hex'))
    }
    if (endStream) this.#note('end', true)
    this.stream?.consumed(bytes.length)
  }

  trailers(fields: HeaderFields): void {
    this.#alive()
    this.#note(`trailers ${fields.names.join()}=${fields.values.join()}`, true)
  }

  reset(code: number): void {
    assert.ok(!this.#over, 'reset twice')
    this.#over = true
    this.#note(`reset ${code}`, false)
  }

  writable(): void {
    assert.ok(!this.#over, 'writable after reset')
  }

  #alive(): void {
    assert.ok(!this.#over && !this.#ended, 'told something after the end')
  }

  #note(text: string, ended: boolean): void {
    this.log.push(`${this.stream?.id} ${text}`)
    if (ended) this.#ended = true
  }
}

/** A server that answers all requests at once, with bodies; what it was told and what it sent. */
function serve(pieces: readonly Buffer[]): { log: string[]; sent: Buffer; streams: number } {
  const log: string[] = []
  const sent: Buffer[] = []
  let streams = 0
  const connection = new Http2Connection({
    role: 'server',
    nowMs: 0,
    limits: { maxConcurrentStreams: 20, maxPendingBytes: 100_000 },
    sink: { write: (bytes) => sent.push(Buffer.from(bytes)) > 0, close() {} },
    onStream(stream, head, endStream) {
      streams++
      log.push(
        `${stream.id} ${head.method} ${head.target} ${head.names.join()}=${head.values.join()}`,
      )
      const scribe = new Scribe(log, endStream)
      scribe.stream = stream
      if (stream.id % 3 !== 0) {
        stream.respond(200, { names: ['x-id'], values: [String(stream.id)] }, false)
        stream.write(Buffer.alloc(50))
        if (endStream) stream.end()
      }
      return scribe
    },
    onClosed: (error) => log.push(`closed ${String(error)}`),
  })
  for (const bytes of pieces) {
    connection.receive(bytes, 0)
    assert.ok(connection.openStreams <= 20)
  }
  connection.tick(2000)
  connection.destroy()
  return { log, sent: Buffer.concat(sent), streams }
}

/** A client with some requests open; what it was told. */
function ask(pieces: readonly Buffer[]): { log: string[]; sent: Buffer } {
  const log: string[] = []
  const sent: Buffer[] = []
  const connection = new Http2Connection({
    role: 'client',
    nowMs: 0,
    sink: { write: (bytes) => sent.push(Buffer.from(bytes)) > 0, close() {} },
    onClosed: (error) => log.push(`closed ${String(error)}`),
  })
  for (let i = 0; i < 10; i++) {
    const scribe = new Scribe(log, false)
    const line = {
      method: i === 3 ? 'HEAD' : 'POST',
      scheme: 'http',
      authority: 'a',
      path: `/${i}`,
    }
    scribe.stream = connection.request(line, { names: ['x'], values: ['y'] }, i % 2 === 0, scribe)
    if (i % 2 === 1) scribe.stream.write(Buffer.alloc(100))
  }
  for (const bytes of pieces) connection.receive(bytes, 0)
  connection.tick(2000)
  connection.destroy()
  return { log, sent: Buffer.concat(sent) }
}

/** Valid traffic of a client: requests with bodies, trailers, padding, settings, pings, resets. */
function clientTraffic(random: Random): Buffer[] {
  const frames = [preface, frame(4, 0, 0, '000400001000'), frame(4, 1, 0)]
  for (let i = 0, id = 1; i < 30; i++, id += 2) {
    const body = randomInt(random, 3)
    const padding = random.next() < 0.2
    // An own field into the table now and then, and back from there.
    const field = random.next() < 0.3 ? `40017801${(97 + randomInt(random, 26)).toString(16)}` : ''
    const block = `838684410161${field}`
    if (random.next() < 0.2) {
      frames.push(
        frame(1, body === 0 ? 1 : 0, id, block.slice(0, 6)),
        frame(9, 4, id, block.slice(6)),
      )
    } else
      frames.push(
        frame(
          1,
          (body === 0 ? 1 : 0) | 4 | (padding ? 8 : 0),
          id,
          padding ? `02${block}0000` : block,
        ),
      )
    for (let piece = 0; piece < body; piece++)
      frames.push(frame(0, 0, id, Buffer.alloc(randomInt(random, 2000), 97 + piece)))
    if (body > 0) {
      const end = randomInt(random, 3)
      if (end === 0) frames.push(frame(0, 1, id))
      else if (end === 1) frames.push(frame(1, 5, id, '00017401' + '31'))
      else frames.push(frame(3, 0, id, '00000008'))
    }
    const extra = randomInt(random, 6)
    if (extra === 0) frames.push(frame(6, 0, 0, '0000000000000001'))
    else if (extra === 1) frames.push(frame(8, 0, 0, '00001000'))
    else if (extra === 2) frames.push(frame(2, 0, id, '0000000010'))
    else if (extra === 3) frames.push(frame(4, 0, 0, '000400002000'))
  }
  return frames
}

/** Valid traffic of a server to the ten requests of `ask`. */
function serverTraffic(random: Random): Buffer[] {
  const frames = [frame(4, 0, 0, '000400001000'), frame(4, 1, 0)]
  for (let i = 0, id = 1; i < 10; i++, id += 2) {
    if (random.next() < 0.2) frames.push(frame(1, 4, id, '08033130' + '33'))
    if (i === 3) {
      frames.push(frame(1, 5, id, '880f0d0133'))
      continue
    }
    frames.push(frame(1, 4, id, random.next() < 0.5 ? '884001780179' : '88'))
    frames.push(frame(0, 0, id, Buffer.alloc(randomInt(random, 3000), 97 + i)))
    frames.push(random.next() < 0.5 ? frame(0, 1, id) : frame(1, 5, id, '0001740131'))
  }
  return frames
}

function split(bytes: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = []
  const most = random.next() < 0.3 ? 5 : 3000
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + randomInt(random, most)
    // A copy that is spoilt afterwards would show who kept it.
    pieces.push(bytes.subarray(at, end))
    at = end
  }
  return pieces
}

function mutate(bytes: Buffer, random: Random): Buffer {
  const result = Buffer.from(bytes)
  const times = 1 + randomInt(random, 4)
  for (let i = 0; i < times; i++) {
    const at = randomInt(random, result.length)
    const kind = randomInt(random, 4)
    if (kind === 0) result[at] = randomInt(random, 256)
    else if (kind === 1) result[at]! ^= 1 << randomInt(random, 8)
    else if (kind === 2) result.copy(result, at, randomInt(random, result.length))
    else
      result.fill(randomInt(random, 256), at, Math.min(at + randomInt(random, 20), result.length))
  }
  return random.next() < 0.1 ? result.subarray(0, randomInt(random, result.length)) : result
}

test('any split of the same bytes gives the same events', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed)
      const request = Buffer.concat(clientTraffic(random))
      const whole = serve([request])
      assert.ok(whole.streams >= 20, whole.log.join('\n').slice(0, 500))
      const parts = serve(split(request, random))
      assert.deepEqual(parts.log, whole.log)
      assert.deepEqual(tally(parts.sent), tally(whole.sent))
      const response = Buffer.concat(serverTraffic(random))
      assert.deepEqual(ask(split(response, random)).log, ask([response]).log)
    }),
    { numRuns: 25 },
  )
})

/** How many frames of each type and stream were sent; pieces of bodies may be cut elsewhere. */
function tally(bytes: Buffer): Record<string, number> {
  const count: Record<string, number> = {}
  for (const { type, id } of parseFrames(bytes))
    count[`${type} ${id}`] = (count[`${type} ${id}`] ?? 0) + 1
  return count
}

test('mutations of valid traffic are never thrown out and never told after an end', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed)
      const request = Buffer.concat(clientTraffic(random))
      const response = Buffer.concat(serverTraffic(random))
      for (let i = 0; i < 10; i++) {
        // The preface is left alone, else nothing comes after it.
        const { log, sent } = serve([
          preface,
          ...split(mutate(request.subarray(preface.length), random), random),
        ])
        assert.ok(sent.length < 500_000)
        parseFrames(sent)
        for (const text of [...log, ...ask(split(mutate(response, random), random)).log])
          assert.ok(
            !/told something|reset twice|writable after|TypeError|RangeError/.test(text),
            text,
          )
      }
    }),
    { numRuns: 10 },
  )
})

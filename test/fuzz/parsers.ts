/** The parsers alone: however the bytes are cut the same is read, and whatever they are the only error is one for the client. */
import assert from 'node:assert/strict'
import { Body, requestFraming, responseFraming } from '../../src/lib/http1/body.ts'
import { findHeadEnd, parseRequestHead, parseResponseHead } from '../../src/lib/http1/head.ts'
import { HttpError } from '../../src/lib/http1/http-error.ts'
import { Http2Connection } from '../../src/lib/http2/connection.ts'
import { Recorder } from '../../src/lib/http2/http2.fixture.ts'
import { randomInt, type Random } from '../../src/lib/random.ts'
import { cut, mutate } from './bytes.ts'
import { http1Bytes, http2Bytes, newRequest } from './traffic.ts'

/** One step: some traffic, whole and spoilt. */
export function fuzzParsers(random: Random): void {
  const requests = Array.from({ length: 1 + randomInt(random, 3) }, () => newRequest(random, '/h1'))
  const one = Buffer.concat(
    requests.map((request, i) => http1Bytes(random, request, 'h', i === requests.length - 1)),
  )
  const whole = readAll([one])
  assert.equal(whole.length, requests.length, 'valid requests were refused')
  for (const [i, { method, target, body }] of requests.entries())
    assert.equal(whole[i], `${method} ${target} ${body}`)
  assert.deepEqual(readAll(cut(one, random)), whole)
  for (let i = 0; i < 10; i++) {
    const spoilt = mutate(one, random)
    assert.deepEqual(readAll(cut(spoilt, random)), readAll([spoilt]), 'cuts change what is read')
    readResponse(
      mutate(
        Buffer.from(
          `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\nabc`,
        ),
        random,
      ),
    )
    readResponse(
      mutate(
        Buffer.from(
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n`,
        ),
        random,
      ),
    )
  }
  const two = http2Bytes(random, requests, 'h')
  assert.equal(serve([two]).heads, requests.length, 'valid streams were refused')
  for (let i = 0; i < 10; i++) serve(cut(mutate(two, random), random))
}

/** Whole requests up to the first that is none, then what is wrong with that. */
function readAll(pieces: readonly Buffer[]): string[] {
  const seen: string[] = []
  let bytes = Buffer.alloc(0)
  let body: Body | undefined
  let line = ''
  try {
    for (const piece of pieces) {
      bytes = Buffer.concat([bytes, piece])
      for (;;) {
        if (body === undefined) {
          while (bytes[0] === 13 && bytes[1] === 10) bytes = bytes.subarray(2)
          const end = findHeadEnd(bytes, 0)
          if (end < 0) break
          const head = parseRequestHead(bytes, 0, end, 100)
          body = new Body(requestFraming(head), head.contentLength)
          line = `${head.method} ${head.target} `
          bytes = bytes.subarray(end)
        }
        const stop = body.advance(
          bytes,
          0,
          (of, from, to) => (line += of.toString('latin1', from, to)),
        )
        bytes = bytes.subarray(stop)
        if (!body.done) break
        seen.push(line)
        body = undefined
      }
    }
  } catch (error) {
    assert.ok(error instanceof HttpError, String(error))
    seen.push(`${error.status} ${error.message}`)
  }
  return seen
}

function readResponse(bytes: Buffer): void {
  try {
    const end = findHeadEnd(bytes, 0)
    if (end < 0) return
    const head = parseResponseHead(bytes, 0, end, 100)
    new Body(responseFraming(head, 'GET'), head.contentLength).advance(bytes, end)
  } catch (error) {
    assert.ok(error instanceof HttpError, String(error))
  }
}

/** A server of HTTP/2 that answers everything. */
function serve(pieces: readonly Buffer[]): { heads: number } {
  let heads = 0
  let sent = 0
  let fault: Error | undefined
  const connection = new Http2Connection({
    role: 'server',
    nowMs: 0,
    sink: { write: (bytes) => (sent += bytes.length) > 0, close() {} },
    onStream(stream) {
      heads++
      const user = new Recorder()
      user.stream = stream
      stream.respond(200, { names: ['x'], values: ['y'] }, true)
      return user
    },
    onClosed: (error) => (fault = error),
  })
  for (const bytes of pieces) connection.receive(bytes, 0)
  connection.destroy()
  const text = String(fault)
  assert.ok(!/TypeError|RangeError|ReferenceError|AssertionError/.test(text), text)
  assert.ok(sent < 1_000_000, `${sent} bytes were sent`)
  return { heads }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Body, responseFraming } from './body.ts'
import { findHeadEnd, parseResponseHead } from './head.ts'
import { HttpError } from './http-error.ts'

/** Feeds `text` in pieces; answers payload and what is left behind the body. */
function read(body: Body, text: string, pieceBytes = text.length || 1) {
  const bytes = Buffer.from(text, 'latin1')
  let payload = ''
  let rest = ''
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes)
    const end = body.advance(
      piece,
      0,
      (chunk, from, to) => (payload += chunk.toString('latin1', from, to)),
    )
    rest += piece.toString('latin1', end)
  }
  return { payload, rest, done: body.done }
}

test('a body of known length ends there', () => {
  assert.deepEqual(read(new Body('length', 3), 'abcdef'), {
    payload: 'abc',
    rest: 'def',
    done: true,
  })
  assert.deepEqual(read(new Body('length', 3), 'ab'), { payload: 'ab', rest: '', done: false })
  assert.equal(new Body('none', 0).done, true)
  assert.deepEqual(read(new Body('close', 0), 'ab'), { payload: 'ab', rest: '', done: false })
})

test('chunks, extensions and trailers are followed however they are cut', () => {
  const text =
    '3;n=v;q="a\\"b"\r\nabc\r\n1F\r\n0123456789012345678901234567890\r\n0\r\nT: v\r\nU:\r\n\r\nNEXT'
  for (let size = 1; size <= text.length; size++)
    assert.deepEqual(read(new Body('chunked', 0), text, size), {
      payload: 'abc0123456789012345678901234567890',
      rest: 'NEXT',
      done: true,
    })
})

test('malformed chunks are refused', () => {
  for (const text of [
    '\r\n',
    'g\r\n',
    '-1\r\n',
    '0x1\r\n',
    '1 \r\na\r\n',
    '1\na\n',
    '1\r\nab\r\n',
    '1\r\na\n0\r\n\r\n',
    '11111111111111\r\n',
    '1;\0\r\n',
    '1;a=\r\n',
    '1;a="\n"\r\n',
    '0\r\n bad: folded\r\n\r\n',
    '0\r\nA: b\nC: d\r\n\r\n',
    '0\r\n\rX',
    '0\r\nA: b\r\nContent-length: 5\r\n\r\n',
    '0\r\nHOST: h\r\n\r\n',
    `1;${'x'.repeat(20_000)}\r\n`,
    `0\r\nT: ${'x'.repeat(70_000)}\r\n\r\n`,
  ])
    assert.throws(
      () => read(new Body('chunked', 0), text),
      HttpError,
      JSON.stringify(text.slice(0, 40)),
    )
})

test('a chunk may be put in between two chunks only', () => {
  const body = new Body('chunked', 0)
  assert.equal(body.betweenChunks, true)
  body.advance(Buffer.from('3\r\nab'), 0)
  assert.equal(body.betweenChunks, false)
  body.advance(Buffer.from('c\r\n'), 0)
  assert.equal(body.betweenChunks, true)
})

test('any cut of any chunking gives the payload back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ minLength: 1, maxLength: 30 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 17 }),
      fc.string(),
      (pieces, size, after) => {
        const encoded = pieces.map((piece) => Buffer.from(piece).toString('latin1'))
        const rest = Buffer.from(after).toString('latin1')
        const text = `${encoded.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('')}0\r\n\r\n`
        assert.deepEqual(read(new Body('chunked', 0), text + rest, size), {
          payload: encoded.join(''),
          rest,
          done: true,
        })
      },
    ),
  )
})

test('framing of responses (RFC 9112 6.3)', () => {
  const framing = (status: number, lines: string, method = 'GET') => {
    const bytes = Buffer.from(`HTTP/1.1 ${status} X\r\n${lines}\r\n`)
    return responseFraming(parseResponseHead(bytes, 0, findHeadEnd(bytes, 0), 10), method)
  }
  assert.equal(framing(200, 'Content-Length: 3\r\n'), 'length')
  assert.equal(framing(200, 'Content-Length: 0\r\n'), 'none')
  assert.equal(framing(200, 'Content-Length: 3\r\n', 'HEAD'), 'none')
  assert.equal(framing(304, 'Content-Length: 3\r\n'), 'none')
  assert.equal(framing(204, ''), 'none')
  assert.equal(framing(100, ''), 'none')
  assert.equal(framing(200, ''), 'close')
  assert.equal(framing(200, 'Transfer-Encoding: chunked\r\n'), 'chunked')
  assert.equal(framing(200, 'Transfer-Encoding: gzip, chunked\r\n'), 'chunked')
  assert.equal(framing(200, 'Transfer-Encoding: gzip\r\n'), 'close')
})

test('trailers are read when they are wanted, and payload is counted', () => {
  const text = '3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum:  5 \r\nX-Empty:\r\n\r\n'
  for (const size of [1, 2, 7, text.length]) {
    const body = new Body('chunked', 0)
    body.keepTrailers = true
    read(body, text, size)
    assert.deepEqual(body.trailers, { names: ['X-Sum', 'X-Empty'], values: ['5', ''] })
    assert.equal(body.payloadBytes, 5)
  }
  const unasked = new Body('chunked', 0)
  read(unasked, text)
  assert.equal(unasked.trailers, undefined)
  const plain = new Body('length', 4)
  read(plain, 'abcdef')
  assert.equal(plain.payloadBytes, 4)
})

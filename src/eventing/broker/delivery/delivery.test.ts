import assert from 'node:assert/strict'
import { test } from 'node:test'
import { complaintOf, errorExtensions } from './delivery.ts'

test('what an answer says of its failure is one short line of text, or nothing', () => {
  const said = (text: string | Buffer) => complaintOf(Buffer.from(text))
  assert.equal(said(''), undefined)
  assert.equal(said('\r\n 404: no such host \nand more'), 'no such host')
  assert.equal(said('<!doctype html><p>Oh'), undefined)
  assert.equal(said(Buffer.from([0xff, 0xfe, 0x00, 0x41])), undefined)
  assert.equal(said('{"error":"out of stock"}'), '{"error":"out of stock"}')
  const long = said('ä'.repeat(5_000)) ?? ''
  assert.equal(long, `${'ä'.repeat(150)}…`)
  assert.equal(said(`x\u0007y${'\n'.repeat(9)}`), 'x y')
})

test('the reason of a dead letter is what failed: the answer, or why it could not be used, or that there was none', () => {
  const said = (failure: Parameters<typeof errorExtensions>[0]) => {
    const { knativeerrorcode: code, knativeerrordata: data = '' } = errorExtensions(failure)
    return [code, Buffer.from(data, 'base64').toString()]
  }
  const url = 'http://a/'
  const body = Buffer.from('{}')
  assert.deepEqual(said({ url, result: { status: 503 }, body }), ['503', '{}'])
  const unusable = 'the answer is a bad CloudEvent: source: missing'
  assert.deepEqual(said({ url, result: { status: 502, unusable }, body }), [
    '502',
    `dispatch error: ${unusable}`,
  ])
  assert.deepEqual(said({ url, result: { error: 'refused' } }), ['500', 'dispatch error: refused'])
})

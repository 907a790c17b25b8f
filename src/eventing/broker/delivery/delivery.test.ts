import assert from 'node:assert/strict'
import { test } from 'node:test'
import { complaintOf } from './delivery.ts'

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

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headBytes, parseRecord, writeRecord } from './record.ts'

test('a record is one only where its number can be: what lay there before is not taken for new', () => {
  const bytes = Buffer.alloc(headBytes + 5)
  writeRecord(bytes, 0, 7, 99, Buffer.from('hello'))
  for (const expected of [1, 6, 7]) {
    const parsed = parseRecord(bytes, 0, expected)
    assert.ok(parsed !== 'damaged' && 'event' in parsed)
    assert.deepEqual(parsed.event, { sequence: 7, timeMs: 99, payload: Buffer.from('hello') })
    assert.equal(parsed.end, bytes.length)
  }
  assert.equal(parseRecord(bytes, 0, 8), 'damaged')
  writeRecord(bytes, 0, 2 ** 40, 99, Buffer.from('hello'))
  assert.equal(parseRecord(bytes, 0, 1), 'damaged')
  // The head alone tells how much more is wanted.
  assert.deepEqual(parseRecord(bytes.subarray(0, headBytes), 0, 2 ** 40), { needed: bytes.length })
  for (let at = 4; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes)
    flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at)
    assert.equal(parseRecord(flipped, 0, 2 ** 40 - 2), 'damaged', `byte ${at}`)
  }
})

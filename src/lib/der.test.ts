import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bitString,
  directoryString,
  integer,
  octetString,
  oid,
  partsOf,
  sequence,
  time,
} from './der.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('values as X.690 and RFC 5280 write them', () => {
  assert.equal(hex(oid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302')
  assert.equal(hex(integer(Uint8Array.of(0, 0x80))), '02020080')
  assert.equal(hex(integer(Uint8Array.of(0))), '020100')
  assert.equal(hex(bitString(Uint8Array.of(0x86), 1)), '03020186')
  assert.equal(hex(directoryString('ebb')), '1303656262')
  assert.equal(hex(directoryString('é')), '0c02c3a9')
  assert.equal(
    Buffer.from(time(new Date('2049-12-31T23:59:59Z'))).toString('latin1', 2),
    '491231235959Z',
  )
  assert.equal(
    Buffer.from(time(new Date('2050-01-01T00:00:00Z'))).toString('latin1', 2),
    '20500101000000Z',
  )
})

test('what is put together comes apart again, whatever its size', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), (contents) => {
      const whole = sequence(...contents.map(octetString))
      const [outer, ...more] = partsOf(whole)
      assert.equal(more.length, 0)
      assert.deepEqual(
        partsOf(outer?.content ?? whole).map(({ content }) => hex(content)),
        contents.map(hex),
      )
    }),
  )
  assert.throws(() => partsOf(Uint8Array.of(0x30, 5, 0)), /DER: a value of 5 bytes at 0/)
})

import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AttributeValue } from '../../cloudevents/cloud-event.ts'
import { isMark, keysOf, markOf } from './correlation.ts'
import { compileFilter } from './filters.ts'

const text = (byte: number, length = 32) => Buffer.alloc(length, byte).toString('base64')
const nonce = Buffer.alloc(12, 7)
const keys = (...bytes: number[]) => keysOf(bytes.map((byte) => text(byte)))
const mark = (id: string, byte: number): string => {
  const [key] = keys(byte)
  assert.ok(key)
  return markOf(id, key, nonce)
}

test('the form is the one of Knative', () => {
  const lock = createCipheriv('aes-256-gcm', Buffer.alloc(32, 1), nonce)
  const sealed = Buffer.concat([nonce, lock.update('a-1'), lock.final(), lock.getAuthTag()])
  assert.equal(mark('a-1', 1), `a-1:${sealed.toString('base64url')}:0`)
  // Go pads, Node does not.
  assert.ok(isMark(`a-1:${sealed.toString('base64').replaceAll('+', '-')}:0`, keys(1)))
})

test('any id comes back, with any of the keys, and nothing that was altered', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.nat(), (id, at) => {
      const made = mark(id, 1)
      assert.ok(isMark(made, keys(2, 1)))
      assert.ok(!isMark(made, keys(2)))
      assert.ok(!isMark(`x${made}`, keys(1)))
      const sealed = made.slice(id.length + 1, -2)
      const i = id.length + 1 + (at % sealed.length)
      const other = made[i] === 'A' ? 'z' : 'A'
      const altered = made.slice(0, i) + other + made.slice(i + 1)
      // The last letters of base64 have bits that say nothing.
      if (i < id.length + sealed.length - 1) assert.ok(!isMark(altered, keys(1)), altered)
    }),
  )
})

test('what is no mark is none, and keys of other lengths are none', () => {
  for (const wrong of ['', ':', '::', 'a:b', 'a::0', 'a:b:0', 'a:AAAA:x', `a:${'A'.repeat(64)}:0`])
    assert.ok(!isMark(wrong, keys(1)), wrong)
  assert.equal(keysOf([text(1, 31), text(1, 16), text(1, 24), '!']).length, 2)
})

test('filters ask for it: KN_VERIFY_CORRELATION_ID', () => {
  const passes = (
    replyid: AttributeValue | undefined,
    expression = 'KN_VERIFY_CORRELATION_ID(replyid, "rr", "ns", "request-reply-keys", 0, 1)',
  ) => {
    const filter = compileFilter({
      filters: [{ cesql: expression }],
      correlationKeys: { 'ns.rr': [text(2), text(1)] },
    })
    const attributes = { specversion: '1.0', id: '1', source: '/s', type: 't' }
    const refusal = filter({
      attributes: replyid === undefined ? attributes : { ...attributes, replyid },
    })
    return refusal === undefined
  }
  assert.ok(passes(mark('a', 1)))
  assert.ok(passes(mark('urn:uuid:1', 2)))
  for (const wrong of [undefined, '', 'a', 'a:b:c', 5, true, mark('a', 3), mark('a', 1).slice(1)])
    assert.ok(!passes(wrong), String(wrong))
  const asked = (more: string) => passes(mark('a', 1), `kn_verify_correlation_id(replyid, ${more})`)
  assert.ok(asked('"rr", "ns", "request-reply-keys", 0, 3'))
  assert.ok(!asked('"rr", "ns", "request-reply-keys", 1, 3'), 'another replica')
  assert.ok(!asked('"rr", "ns", "request-reply-keys", 0, 0'), 'no replicas')
  assert.ok(!asked('"rr", "ns", "other", 0, 1'), 'another Secret')
  assert.ok(!asked('"other", "ns", "request-reply-keys", 0, 1'), 'another RequestReply')
  assert.ok(!asked('"rr", "ns"'), 'fewer arguments')
})

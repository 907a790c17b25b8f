import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPatch } from 'rfc6902'
import { jsonPatch } from './json-patch.ts'

test('operations apply to a copy', () => {
  const document = Object.freeze({ a: Object.freeze([1, 2]), b: 'x' })
  const patched = jsonPatch(document, [
    { op: 'test', path: '/b', value: 'x' },
    { op: 'add', path: '/a/-', value: 3 },
    { op: 'add', path: '/a/0', value: 0 },
    { op: 'move', from: '/b', path: '/c' },
    { op: 'copy', from: '/a/0', path: '/d' },
    { op: 'replace', path: '/new', value: { 'k/~': 1 } },
    { op: 'remove', path: '/new/k~1~0' },
  ])
  assert.deepEqual(patched, { a: [0, 1, 2, 3], c: 'x', d: 0, new: {} })
  assert.deepEqual(document, { a: [1, 2], b: 'x' })
  assert.deepEqual(jsonPatch({ a: 1 }, [{ op: 'replace', path: '', value: { b: 2 } }]), { b: 2 })
})

test('what does not apply is one terse refusal', () => {
  const text = /the server rejected our request due to an error in our request/
  const document = { a: [1], s: 'x' }
  const bad: object[] = [
    { op: 'remove', path: '/nope' },
    { op: 'test', path: '/s', value: 'y' },
    { op: 'add', path: '/no/where', value: 1 },
    { op: 'add', path: '/a/7', value: 1 },
    { op: 'remove', path: '' },
    { op: 'what', path: '/s' },
    { op: 'add', path: 'a', value: 1 },
    { op: 'move', from: '/a', path: '/a/0' },
    { op: 'add' },
  ]
  for (const operation of bad)
    assert.throws(() => jsonPatch(document, [operation]), text, JSON.stringify(operation))
  assert.throws(() => jsonPatch(document, { op: 'add' }), /error decoding patch/)
  assert.throws(
    () =>
      jsonPatch(
        document,
        Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/s', value: 'x' })),
      ),
    /maximum operations in a JSON patch is 10000, got 10001/,
  )
})

test('no path leads to prototypes, no copy fills the memory', () => {
  for (const path of ['/__proto__/x', '/constructor/prototype/x', '/a/__proto__'])
    for (const op of ['add', 'replace'])
      assert.throws(() => jsonPatch({ a: {} }, [{ op, path, value: 1 }]), /rejected/)
  assert.equal(Reflect.get({}, 'x'), undefined)
  const doubling = Array.from({ length: 40 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }))
  assert.throws(() => jsonPatch({ a: ['x'.repeat(100)] }, doubling), /rejected/)
})

test('property: a patch from one document to another leads there', () => {
  const document = fc.dictionary(
    fc.stringMatching(/^[a-z/~]{1,3}$/),
    fc.oneof(fc.integer(), fc.string(), fc.array(fc.integer(), { maxLength: 4 })),
    { maxKeys: 4 },
  )
  fc.assert(
    fc.property(document, document, (from, to) => {
      assert.deepEqual(jsonPatch({ ...from }, createPatch(from, to)), { ...to })
    }),
  )
})

test('a place inside a number, a text or nothing is refused', () => {
  for (const inside of [1, 'a', null, true])
    for (const op of ['add', 'replace', 'remove'])
      assert.throws(
        () => jsonPatch({ a: inside }, [{ op, path: '/a/b', value: 1 }]),
        /the server rejected our request/,
        `${op} in ${JSON.stringify(inside)}`,
      )
  assert.throws(
    () =>
      jsonPatch({}, [
        { op: 'add', path: '', value: 9 },
        { op: 'add', path: '/', value: {} },
      ]),
    /the server rejected our request/,
  )
})

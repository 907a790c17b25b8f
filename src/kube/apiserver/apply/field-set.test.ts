import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  difference,
  intersection,
  isEmpty,
  leaf,
  placeOf,
  places,
  placeText,
  readTree,
  union,
  withoutBelow,
} from './field-set.ts'
import type { FieldTree } from './field-set.ts'

const element = fc.constantFrom('f:a', 'f:b', 'k:{"name":"c"}', 'v:"x"', 'i:0')
const place = fc.array(element, { minLength: 1, maxLength: 4 })
const set = fc
  .array(place, { maxLength: 8 })
  .map((all) => all.map(placeOf).reduce<FieldTree>(union, leaf))
const members = (tree: FieldTree): Set<string> =>
  new Set([...places(tree)].map((each) => each.join('/')))

test('property: the operations are those of sets of places', () => {
  fc.assert(
    fc.property(set, set, (a, b) => {
      const [x, y] = [members(a), members(b)]
      assert.deepEqual(members(union(a, b)), new Set([...x, ...y]))
      assert.deepEqual(members(difference(a, b)), new Set([...x].filter((each) => !y.has(each))))
      assert.deepEqual(members(intersection(a, b)), new Set([...x].filter((each) => y.has(each))))
      assert.equal(isEmpty(difference(a, a)), true)
    }),
  )
})

test('property: what is written is read again, whatever order its keys come in', () => {
  fc.assert(
    fc.property(set, (tree) => {
      const text = JSON.stringify(tree)
      assert.equal(JSON.stringify(readTree(JSON.parse(text))), text)
      const reversed = (value: FieldTree): FieldTree =>
        Object.fromEntries(
          Object.entries(value)
            .toReversed()
            .map(([key, below]) => [key, reversed(below)]),
        )
      assert.equal(JSON.stringify(readTree(reversed(tree))), text)
    }),
  )
})

test('a place goes with everything below it', () => {
  const all = union(placeOf(['f:a', 'f:b']), placeOf(['f:c']))
  assert.deepEqual(withoutBelow(all, placeOf(['f:a'])), { 'f:c': {} })
  assert.deepEqual(difference(all, placeOf(['f:a'])), all)
})

test('places as messages write them', () => {
  assert.equal(
    placeText(['f:spec', 'f:containers', 'k:{"containerPort":80,"protocol":"TCP"}', 'f:name']),
    '.spec.containers[containerPort=80,protocol="TCP"].name',
  )
  assert.equal(placeText(['f:finalizers', 'v:"x"']), '.finalizers[="x"]')
})

test('trees that are none are refused', () => {
  for (const bad of [1, [], { 'f:a': 1 }, { 'k:no': {} }, { 'x:a': {} }, { 'i:-1': {} }])
    assert.equal(readTree(bad), undefined, JSON.stringify(bad))
  let deep: unknown = {}
  for (let i = 0; i < 1000; i++) deep = { 'f:a': deep }
  assert.equal(readTree(deep), undefined)
  assert.deepEqual(readTree(JSON.parse('{"f:__proto__":{},"f:a":{}}')), {
    'f:__proto__': {},
    'f:a': {},
  })
})

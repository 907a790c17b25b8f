import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyOrder } from './key-order.ts'
import { SortedKeys } from './sorted-keys.ts'

const key = fc.tuple(fc.constantFrom('p', 'p-', 'q'), fc.constantFrom('', 'a', 'a-b'), fc.nat(99))
const bursts = fc.array(fc.array(fc.tuple(key, fc.boolean()), { minLength: 0, maxLength: 80 }), {
  maxLength: 5,
})

test('keys stay sorted through small and large bursts of changes', () => {
  fc.assert(
    fc.property(bursts, (all) => {
      const sorted = new SortedKeys()
      const model = new Set<string>()
      for (const burst of all) {
        for (const [parts, present] of burst) {
          const text = parts.join('/')
          if (present) {
            sorted.add(text)
            model.add(text)
          } else {
            sorted.delete(text)
            model.delete(text)
          }
        }
        assert.deepEqual(sorted.keys, [...model].sort())
      }
    }),
  )
})

test('ranges hold what a filter of all keys would, in order', () => {
  const prefix = fc.constantFrom('', 'p', 'p/', 'p/a', 'p/a/', 'p/a/1', 'p//', 'q/', 'z')
  fc.assert(
    fc.property(bursts, prefix, fc.option(key), (all, start, last) => {
      const order = new KeyOrder()
      const model = new Set<string>()
      const after = last?.join('/') ?? ''
      for (const burst of all) {
        for (const [parts, present] of burst) {
          const text = parts.join('/')
          if (present) {
            order.add(text)
            model.add(text)
          } else {
            order.delete(text)
            model.delete(text)
          }
        }
        const found = order
          .ranges(start, after)
          .flatMap(({ keys, from, to }) => keys.slice(from, to))
        const wanted = [...model].filter((text) => text.startsWith(start) && text > after).sort()
        assert.deepEqual(found, wanted)
      }
    }),
  )
})

test('a key without resource and namespace is a mistake of the caller', () => {
  assert.throws(() => new KeyOrder().add('pods/x'), /<resource>\/<namespace>\/<name>/)
})

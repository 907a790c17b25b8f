import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Cursor } from './cursor.ts'

test('a cursor knows what a set of numbers knows, in any order, also after a restart', () => {
  const step = fc.oneof(
    fc.record({ settle: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ raise: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ restart: fc.constant(true) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let cursor = new Cursor(1)
      const model = new Set<number>()
      for (const each of steps) {
        if ('settle' in each) {
          cursor.settle(each.settle)
          model.add(each.settle)
        } else if ('raise' in each) {
          cursor.raise(each.raise)
          for (let i = 1; i < each.raise; i++) model.add(i)
        } else cursor = Cursor.from(cursor.text())
        for (let i = 1; i <= 41; i++) assert.equal(cursor.isSettled(i), model.has(i))
        let floor = 1
        while (model.has(floor)) floor++
        assert.equal(cursor.floor, floor)
        assert.equal(cursor.settledAbove, [...model].filter((i) => i > floor).length)
      }
    }),
  )
})

test('one event that is tried for hours costs one range, however many pass it', () => {
  const cursor = new Cursor(1)
  cursor.defer({ sequence: 1, attempts: 3, notBeforeMs: 99 })
  for (let i = 2; i < 100_000; i++) cursor.settle(i)
  assert.equal(cursor.text(), '{"floor":1,"settled":[[2,99999]],"deferred":[[1,3,99]]}')
  cursor.settle(1)
  assert.equal(cursor.text(), '{"floor":100000,"settled":[],"deferred":[]}')
})

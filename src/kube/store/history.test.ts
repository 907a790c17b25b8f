import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { History } from './history.ts'
import { thing } from './store.contract.ts'

const change = (revision: number) => ({
  type: 'MODIFIED' as const,
  key: 'things/default/a',
  object: thing('a'),
  revision,
})

test('keeps as many changes as fit by number and by size', () => {
  const sizes = fc.array(fc.nat(50), { maxLength: 40 })
  fc.assert(
    fc.property(fc.nat(6), fc.nat(99), fc.nat(9), sizes, (limit, limitBytes, start, all) => {
      const history = new History(limit, limitBytes, start)
      for (const [i, bytes] of all.entries()) {
        history.push(change(start + i + 1), bytes)
        const seen = all.slice(0, i + 1)
        let kept = 0
        let total = 0
        for (const size of seen.toReversed()) {
          total += size
          if (kept === limit || total > limitBytes) break
          kept++
        }
        const newest = start + i + 1
        assert.equal(history.compacted, newest - kept)
        for (let revision = start; revision <= newest; revision++)
          assert.equal(
            history.at(revision)?.revision,
            revision > history.compacted ? revision : undefined,
          )
      }
    }),
  )
})

test('one enormous change makes room by dropping the others', () => {
  const history = new History(10, 100, 0)
  for (let revision = 1; revision <= 5; revision++) history.push(change(revision), 20)
  assert.equal(history.compacted, 0)
  history.push(change(6), 90)
  assert.equal(history.compacted, 5)
  history.push(change(7), 1_000)
  assert.equal(history.compacted, 7)
  history.push(change(8), 1)
  assert.equal(history.at(8)?.revision, 8)
})

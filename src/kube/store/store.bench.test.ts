import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchStore } from './store.bench.ts'

test('the bench runs, small', async () => {
  const rows = await benchStore({ writes: 50, objects: 20, watchers: 3 })
  assert.equal(rows.length, 7)
  for (const { name, value } of rows) assert(value > 0, name)
})

/** A few seeds; `npm run event-crash -- 0 SEED` runs hundreds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { surviveEngineCrashes } from './crash.fixture.ts'

test('what is acknowledged is taken or a dead letter, whatever happens to engine, disk and clock', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const { acknowledged, taken } = await surviveEngineCrashes(seed, 5)
    assert.ok(acknowledged > 20 && taken > 20)
  }
})

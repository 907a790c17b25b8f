/** A few seeds; `npm run event-crash -- 0 SEED` runs hundreds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { surviveCrashes } from './power-cut.fixture.ts'

test('what is acknowledged survives power cuts, kills, full and failing disks', async () => {
  for (let seed = 1; seed <= 12; seed++) assert.ok((await surviveCrashes(seed, 8)) > 20)
})

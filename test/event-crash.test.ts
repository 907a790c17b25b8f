/** A few crashes of the event engine; `npm run event-crash` makes a thousand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../src/lib/random.ts'
import { crashEvents, faultsOf } from './event-crash/harness.ts'

test('events that were acknowledged survive crashes of the engine', async () => {
  const tally = await crashEvents({ kills: 6, random: seededRandom(7) })
  for (const [kind, found] of Object.entries(faultsOf(tally))) assert.deepEqual(found, [], kind)
  assert.ok(tally.acknowledged > 5, JSON.stringify(tally))
})

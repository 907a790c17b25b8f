/** A few crashes of the event engine; `npm run event-crash` makes a thousand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../src/lib/random.ts'
import { crashEvents } from './event-crash/harness.ts'

test('events that were acknowledged survive crashes of the engine', async () => {
  const tally = await crashEvents({ kills: 6, random: seededRandom(7) })
  assert.deepEqual(tally.lost, [])
  assert.deepEqual(tally.unexplained, [])
  assert.ok(tally.acknowledged > 5, JSON.stringify(tally))
})

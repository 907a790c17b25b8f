/** A handful of lives of the whole platform, each from a seed; `npm run sim` plays many more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from './run.ts'

const steps = 50

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8])
  test(`seed ${seed}: whatever happens, the platform ends as it was asked to be`, async () => {
    const { complaints, requests } = await simulate(seed, steps)
    assert.deepEqual(complaints, [], `SEED=${seed}: npm run sim -- ${seed} ${steps}`)
    assert.ok(requests > 0, 'nobody asked for anything')
  })

test('the same seed is the same life', async () => {
  const [one, other] = [await simulate(9, 30), await simulate(9, 30)]
  assert.equal(one.fingerprint, other.fingerprint)
})

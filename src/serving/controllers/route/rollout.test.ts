import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Rollout } from './rollout.ts'
import { advance, isDone, observeReady, parseRollout, rolloutText } from './rollout.ts'

const t0 = Date.UTC(2026, 0, 1)

const target = (revisionName: string, percent = 100): Rollout => ({
  configurations: [
    {
      configurationName: 'hello',
      percent,
      revisions: [{ revisionName, percent }],
      stepParams: {},
    },
  ],
})

const shares = (rollout: Rollout): Record<string, number> =>
  Object.fromEntries(
    rollout.configurations[0]?.revisions.map(({ revisionName, percent }) => [
      revisionName,
      percent,
    ]) ?? [],
  )

/** Starts a rollout old -> new, the data plane being ready after `readySeconds`. */
function started(percent: number, durationSeconds: number, readySeconds: number): Rollout {
  const first = advance(target('old', percent), undefined, t0).rollout
  const second = advance(target('new', percent), first, t0).rollout
  assert.deepEqual(shares(second), { old: percent - 1, new: 1 })
  return observeReady(second, t0 + readySeconds * 1000, durationSeconds)
}

test('the pace follows from the duration and the time the first step took', () => {
  const pace = (percent: number, duration: number, ready: number) => {
    const { stepSize, stepDuration } =
      started(percent, duration, ready).configurations[0]?.stepParams ?? {}
    return [stepSize, Math.round((stepDuration ?? 0) / 1e7) / 100]
  }
  assert.deepEqual(pace(100, 60, 1), [2, 1])
  assert.deepEqual(pace(100, 60, 10), [20, 10])
  assert.deepEqual(pace(10, 60, 2), [1, 6.44])
  assert.deepEqual(pace(2, 60, 1), [1, 59])
  assert.deepEqual(pace(100, 5, 10), [99, 1])
})

test('steps run 1, 21, 41, 61, 81, 100 percent every ten seconds', () => {
  let rollout = started(100, 60, 10)
  const seen = [shares(rollout)['new']]
  for (let seconds = 11; !isDone(rollout); seconds++) {
    const next = advance(target('new'), rollout, t0 + seconds * 1000)
    if (rolloutText(next.rollout) !== rolloutText(rollout)) {
      assert.equal(seconds % 10, 0)
      seen.push(shares(next.rollout)['new'])
    }
    rollout = next.rollout
  }
  assert.deepEqual(seen, [1, 21, 41, 61, 81, 100])
  assert.deepEqual(rollout.configurations[0]?.stepParams, {})
})

test('a third revision takes its percent from the newest, and steps eat the second newest first', () => {
  const halfway = advance(target('b'), started2(), t0 + 20_000).rollout
  assert.deepEqual(shares(halfway), { a: 79, b: 21 })
  const third = advance(target('c'), halfway, t0 + 21_000)
  assert.deepEqual(shares(third.rollout), { a: 79, b: 20, c: 1 })
  assert.equal(third.nextStepMs, undefined)
  const paced = observeReady(third.rollout, t0 + 31_000, 60)
  const next = advance(target('c'), paced, t0 + 41_000).rollout
  assert.deepEqual(shares(next), { a: 79, c: 21 })

  function started2(): Rollout {
    const first = advance(target('a'), undefined, t0).rollout
    return observeReady(advance(target('b'), first, t0).rollout, t0 + 10_000, 60)
  }
})

test('a changed percentage goes to the newest and comes from the oldest', () => {
  const rollout = started(50, 60, 10)
  assert.deepEqual(shares(advance(target('new', 60), rollout, t0 + 10_000).rollout), {
    old: 49,
    new: 11,
  })
  assert.deepEqual(shares(advance(target('new', 20), rollout, t0 + 10_000).rollout), {
    old: 19,
    new: 1,
  })
  assert.deepEqual(shares(advance(target('new', 1), rollout, t0 + 10_000).rollout), { new: 1 })
  assert.deepEqual(advance(target('new', 0), rollout, t0).rollout.configurations, [])
})

test('broken state is ignored', () => {
  const bad = [
    undefined,
    '',
    '{',
    '[]',
    '{"configurations":[{"configurationName":"a","percent":101,"revisions":[{"revisionName":"r","percent":101}]}]}',
    '{"configurations":[{"configurationName":"a","percent":10,"revisions":[{"revisionName":"r","percent":9}]}]}',
    '{"configurations":[{"configurationName":"a","percent":1,"revisions":[{"revisionName":"r","percent":1}],"stepParams":{"stepSize":2}}]}',
  ]
  for (const text of bad) assert.equal(parseRollout(text), undefined, text)
})

test('whatever happens, shares add up, text round-trips, and the newest wins in the end', () => {
  const change = fc.record({
    revision: fc.nat({ max: 4 }),
    percent: fc.integer({ min: 2, max: 100 }),
    afterMs: fc.integer({ min: 0, max: 30_000 }),
    ready: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 30 }), (changes) => {
      let nowMs = t0
      let rollout: Rollout | undefined
      let last = target('r0')
      for (const { revision, percent, afterMs, ready } of changes) {
        nowMs += afterMs
        if (rollout && ready) rollout = observeReady(rollout, nowMs, 60)
        last = target(`r${revision}`, percent)
        rollout = advance(last, rollout, nowMs).rollout
        const total = Object.values(shares(rollout)).reduce((sum, share) => sum + share, 0)
        assert.equal(total, percent)
        assert.deepEqual(parseRollout(rolloutText(rollout)), rollout)
      }
      for (let steps = 0; rollout && !isDone(rollout) && steps < 500; steps++) {
        nowMs += 120_000
        rollout = advance(last, observeReady(rollout, nowMs, 60), nowMs).rollout
      }
      assert.ok(rollout && isDone(rollout))
    }),
    { numRuns: 100 },
  )
})

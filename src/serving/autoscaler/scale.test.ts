import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  activeCondition,
  activeThreshold,
  clampScale,
  numActivators,
  reportedDesiredScale,
  scaleStep,
  serverlessMode,
  type ScaleStep,
  type ScaleWorld,
} from './scale.ts'

const nowMs = 10_000_000
const world: ScaleWorld = {
  desired: 0,
  bounds: { min: 0, max: 0 },
  initialScale: 1,
  initialized: true,
  reachability: 'Reachable',
  active: { status: 'True', sinceMs: nowMs - 1_000_000 },
  enableScaleToZero: true,
  stableWindowMs: 60_000,
  scaleToZeroGracePeriodMs: 30_000,
  scaleToZeroPodRetentionMs: 0,
  progressDeadlineMs: 600_000,
  targetBurstCapacity: 211,
  mode: 'Proxy',
}
const active = (status: 'True' | 'False' | 'Unknown', agoMs: number) => ({
  active: { status, sinceMs: nowMs - agoMs },
})

function check(table: readonly [string, Partial<ScaleWorld>, ScaleStep][]): void {
  for (const [what, changes, wanted] of table)
    assert.deepEqual(scaleStep({ ...world, ...changes }, nowMs), wanted, what)
}

describe('scale step', () => {
  test('applies the wish within its bounds', () => {
    check([
      ['as wished', { desired: 3 }, { apply: 3, want: 3 }],
      ['at least', { desired: 3, bounds: { min: 5, max: 0 } }, { apply: 5, want: 5 }],
      ['at least, from zero', { bounds: { min: 2, max: 4 } }, { apply: 2, want: 2 }],
      ['at most', { desired: 9, bounds: { min: 0, max: 4 } }, { apply: 4, want: 4 }],
      [
        'the minimum does not hold where no Route leads',
        { desired: 1, bounds: { min: 5, max: 0 }, reachability: 'Unreachable' },
        { apply: 1, want: 1 },
      ],
      ['no wish, no change', { desired: -1 }, { want: -1 }],
      ['no wish, inactive', { desired: -1, ...active('False', 5) }, { want: -1 }],
    ])
  })

  test('a new revision is held at its initial scale until it was ready', () => {
    const fresh = { ...active('Unknown', 1_000), initialized: false, initialScale: 3 }
    check([
      ['no wish yet', { ...fresh, desired: -1 }, { apply: 3, want: 3 }],
      ['a small wish', { ...fresh, desired: 1 }, { apply: 3, want: 3 }],
      ['a large wish', { ...fresh, desired: 4 }, { apply: 4, want: 4 }],
      ['was ready', { ...fresh, initialized: true, desired: 1 }, { apply: 1, want: 1 }],
      [
        'one is what the Deployment starts with anyway',
        { ...fresh, initialScale: 1, desired: -1 },
        { want: -1, requeueAfterMs: 629_001 },
      ],
    ])
  })

  test('zero while activating: wait for the progress deadline and a little more', () => {
    check([
      ['still time', active('Unknown', 630_000), { want: -1, requeueAfterMs: 1 }],
      ['failed', active('Unknown', 630_001), { apply: 0, want: 0 }],
    ])
  })

  test('zero while active: one pod for a stable window, then inactive first', () => {
    check([
      ['too early', active('True', 59_000), { apply: 1, want: 1, requeueAfterMs: 1_000 }],
      ['now', active('True', 60_000), { want: 0, requeueAfterMs: 3_000 }],
      ['now, serving', { ...active('True', 60_000), mode: 'Serve' }, { want: 0 }],
      ['never', { enableScaleToZero: false }, { apply: 1, want: 1 }],
    ])
  })

  test('zero while inactive: only when requests are sure to be held', () => {
    const idle = { ...active('False', 10_000), probe: 'succeeded' as const }
    check([
      ['not asked yet', active('False', 99_000), { want: 0, probe: true }],
      [
        'asked in vain',
        { ...active('False', 99_000), probe: 'failed' },
        { want: 0, probe: true, requeueAfterMs: 1_000 },
      ],
      [
        'always in the path',
        { ...active('False', 30_000), targetBurstCapacity: -1 },
        { apply: 0, want: 0 },
      ],
      ['grace is over', { ...idle, ...active('False', 30_000) }, { apply: 0, want: 0 }],
      [
        'in the path for long',
        { ...idle, activatorBackedSinceMs: nowMs - 30_000 },
        { apply: 0, want: 0 },
      ],
      [
        'in the path for a while',
        { ...idle, activatorBackedSinceMs: nowMs - 25_000 },
        { want: 0, requeueAfterMs: 5_000 },
      ],
      ['not in the path yet', idle, { want: 0, requeueAfterMs: 20_000 }],
    ])
  })

  test('the last pod is retained as long as asked', () => {
    const retained = {
      probe: 'succeeded' as const,
      scaleToZeroPodRetentionMs: 300_000,
      activatorBackedSinceMs: nowMs - 900_000,
    }
    check([
      [
        'retained',
        { ...retained, ...active('False', 290_000) },
        { want: 0, requeueAfterMs: 10_000 },
      ],
      ['over', { ...retained, ...active('False', 300_000) }, { apply: 0, want: 0 }],
      [
        'not for what nobody can reach',
        { ...retained, ...active('False', 1_000), reachability: 'Unreachable' },
        { apply: 0, want: 0 },
      ],
      [
        'shorter than the grace period',
        { ...retained, scaleToZeroPodRetentionMs: 5_000, ...active('False', 6_000) },
        { apply: 0, want: 0 },
      ],
    ])
  })
})

test('clamping', () => {
  assert.deepEqual(
    [-1, 0, 1, 5, 9].map((n) => clampScale(n, { min: 1, max: 5 })),
    [1, 1, 1, 5, 5],
  )
  assert.equal(clampScale(9, { min: 1, max: 0 }), 9)
})

test('how many ready pods make a revision active', () => {
  const threshold = (changes: Partial<Parameters<typeof activeThreshold>[0]>) =>
    activeThreshold({ ...world, bounds: { min: 2, max: 0 }, initialScale: 4, ...changes })
  assert.equal(threshold({ initialized: false }), 4)
  assert.equal(threshold({}), 2)
  assert.equal(threshold({ reachability: 'Unreachable' }), 1)
  assert.equal(threshold({ initialized: false, initialScale: 0, bounds: { min: 0, max: 0 } }), 0)
})

test('the Active condition', () => {
  const shown = (
    readyPods: number,
    want: number,
    threshold: number,
    status: 'True' | 'False' | 'Unknown',
  ) => {
    const condition = activeCondition({ readyPods, want, threshold, active: status })
    if (!condition) return 'unchanged'
    return condition.status === 'True' ? 'True' : `${condition.status} ${condition.reason}`
  }
  assert.deepEqual(
    {
      failedToActivate: shown(0, 0, 1, 'Unknown'),
      initialScaleZero: shown(0, -1, 0, 'Unknown'),
      idle: shown(1, 0, 1, 'True'),
      starting: shown(0, -1, 1, 'Unknown'),
      waking: shown(0, 1, 1, 'False'),
      lostItsPods: shown(0, -1, 1, 'True'),
      asleepAfterRestart: shown(0, -1, 1, 'False'),
      ready: shown(1, 1, 1, 'Unknown'),
      readyWithoutWish: shown(1, -1, 1, 'Unknown'),
      leftovers: shown(1, -1, 1, 'False'),
      partly: shown(2, 3, 3, 'Unknown'),
    },
    {
      failedToActivate: 'False TimedOut',
      initialScaleZero: 'False NoTraffic',
      idle: 'False NoTraffic',
      starting: 'Unknown Queued',
      waking: 'Unknown Queued',
      lostItsPods: 'Unknown Queued',
      asleepAfterRestart: 'False NoTraffic',
      ready: 'True',
      readyWithoutWish: 'True',
      leftovers: 'unchanged',
      partly: 'Unknown Queued',
    },
  )
})

test('whether the activator is in the path', () => {
  assert.equal(serverlessMode(1, 0, 'True'), 'Serve')
  assert.equal(serverlessMode(1, -1, 'True'), 'Proxy')
  assert.equal(serverlessMode(0, 10, 'True'), 'Proxy')
  assert.equal(serverlessMode(-1, 10, 'False'), 'Proxy')
  assert.equal(serverlessMode(-1, 10, 'True'), 'Serve')
})

test('the number of activators', () => {
  const count = (readyPods: number, totalValue: number, targetBurstCapacity: number) =>
    numActivators({ readyPods, totalValue, targetBurstCapacity, activatorCapacity: 100 })
  assert.deepEqual(
    [
      count(1, 100, 211),
      count(3, 100, 211),
      count(10, 100, 211),
      count(10, 10, 211),
      count(5, 100, -1),
      count(5, 100, 0),
    ],
    [4, 6, 13, 4, 5, 2],
  )
})

test('a restarted autoscaler does not overwrite the stored wish', () => {
  assert.equal(reportedDesiredScale(-1, 3), 3)
  assert.equal(reportedDesiredScale(-1, undefined), -1)
  assert.equal(reportedDesiredScale(-1, -1), -1)
  assert.equal(reportedDesiredScale(0, 3), 0)
})

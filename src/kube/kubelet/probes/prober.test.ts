import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { ProbeDefinition } from './probe.ts'
import { startProber, type ProbeKind, type ProberOptions } from './prober.ts'

function probing(
  kind: ProbeKind,
  probe: ProbeDefinition,
  initially?: boolean,
  more: Partial<ProberOptions> = {},
) {
  const clock = new SimClock()
  const seen: string[] = []
  const attempts: number[] = []
  const control = { answer: 'down' as string | undefined }
  const prober = startProber({
    kind,
    probe,
    clock,
    random: seededRandom(1),
    attempt: async () => {
      attempts.push(clock.monotonic())
      return control.answer
    },
    onChange: (success) => seen.push(`${clock.monotonic()} ${success}`),
    onFailure: (output) => seen.push(`${clock.monotonic()} ${output}`),
    ...(initially !== undefined && { initially }),
    ...more,
  })
  return { clock, seen, attempts, control, prober }
}

test('an eager probe tries every few milliseconds, slower later, and once a second after success', async () => {
  const { clock, seen, attempts, control } = probing('Readiness', {
    tcpSocket: { port: 1 },
    periodSeconds: 0,
  })
  await clock.advance(20)
  assert.deepEqual(attempts, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
  await clock.advance(900)
  assert.deepEqual(seen, [], 'no complaint while it starts')
  await clock.advance(9_000)
  const [last = 0, before = 0] = attempts.slice(-2).reverse()
  assert.equal(last - before, 50)
  assert.equal(seen.length, 1, 'one that does not start is told once a usual period')
  await clock.advance(10_000)
  assert.equal(seen.length, 2)
  control.answer = undefined
  await clock.advance(50)
  assert.equal(seen.length, 3)
  const count = attempts.length
  await clock.advance(3_000)
  assert.equal(attempts.length, count + 3)
})

test('the more programs come up, the longer between two looks at each', async () => {
  const { clock, attempts } = probing('Readiness', { periodSeconds: 0 }, undefined, {
    others: () => 20,
  })
  await clock.advance(30)
  assert.deepEqual(attempts, [0, 20])
})

test('the longer a program takes, the longer between two looks', async () => {
  const { clock, attempts } = probing('Readiness', { periodSeconds: 0 })
  await clock.advance(400)
  const gaps = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
  assert.ok((gaps.at(-1) ?? 0) >= 18, `the last gap is ${gaps.at(-1)}`)
  assert.ok(gaps.every((gap, i) => gap <= Math.max(2, (attempts[i] ?? 0) / 20 + 1)))
  assert.ok(attempts.length < 80, `${attempts.length} looks`)
})

test('no look before a program like it has ever come up, and none that is much too late', async () => {
  const quick = probing('Readiness', { periodSeconds: 0 }, undefined, { quickestMs: 20 })
  await quick.clock.advance(20)
  assert.deepEqual(quick.attempts, [14, 16, 18, 20])
  const slow = probing('Readiness', { periodSeconds: 0 }, undefined, { quickestMs: 5_000 })
  await slow.clock.advance(31)
  assert.deepEqual(slow.attempts, [30])
  const usual = probing('Readiness', { periodSeconds: 10 }, undefined, { quickestMs: 20 })
  await usual.clock.advance(0)
  assert.deepEqual(usual.attempts, [0])
})

test('what was ready before is looked at within a period, or at once', async () => {
  const later = probing('Readiness', { periodSeconds: 10 }, true)
  await later.clock.advance(0)
  assert.deepEqual(later.attempts, [])
  const now = probing('Readiness', { periodSeconds: 10 }, true, { atOnce: true })
  await now.clock.advance(0)
  assert.deepEqual(now.attempts, [0])
  assert.deepEqual(now.seen.slice(1), [], 'one failure changes nothing')
})

test('a ready container becomes unready after three failures in a row, and ready again after one success', async () => {
  const { clock, seen, control } = probing('Readiness', { periodSeconds: 10 })
  control.answer = undefined
  await clock.advance(10_000)
  control.answer = 'down'
  await clock.advance(20_000)
  control.answer = undefined
  await clock.advance(10_000)
  control.answer = 'down'
  await clock.advance(30_000)
  control.answer = undefined
  await clock.advance(10_000)
  assert.deepEqual(seen, [
    '0 down',
    '10000 true',
    '20000 down',
    '30000 down',
    '50000 down',
    '60000 down',
    '70000 down',
    '70000 false',
    '80000 true',
  ])
})

test('delay, threshold and disposal of a liveness probe', async () => {
  const { clock, seen, prober } = probing('Liveness', {
    initialDelaySeconds: 5,
    periodSeconds: 2,
    failureThreshold: 2,
  })
  await clock.advance(4_999)
  assert.deepEqual(seen, [])
  await clock.advance(2_001)
  assert.deepEqual(seen, ['5000 down', '7000 down', '7000 false'])
  prober[Symbol.dispose]()
  await clock.advance(60_000)
  assert.equal(seen.length, 3)
})

test('a readiness known from before is kept until the threshold says otherwise', async () => {
  const { clock, seen } = probing('Readiness', { periodSeconds: 10, failureThreshold: 2 }, true)
  await clock.advance(9_999)
  assert.deepEqual(
    seen.filter((text) => text.endsWith('false')),
    [],
  )
  await clock.advance(20_000)
  assert.equal(seen.filter((text) => text.endsWith('false')).length, 1)
})

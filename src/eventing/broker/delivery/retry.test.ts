import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryPolicy } from '../feed.ts'
import { judge, retryAfterMs } from './retry.ts'

/** Waits between the attempts until it is over, and how it ended. */
function schedule(policy: DeliveryPolicy, status: number | undefined, retryAfter?: number) {
  const waits: number[] = []
  for (let attempts = 1; ; attempts++) {
    const verdict = judge(
      {
        ...(status !== undefined && { status }),
        ...(retryAfter !== undefined && { retryAfterMs: retryAfter }),
      },
      attempts,
      policy,
    )
    if (verdict.kind !== 'retry') return [verdict.kind, ...waits]
    waits.push(verdict.waitMs)
  }
}

test('retry counts the attempts after the first; without a back-off they follow at once', () => {
  assert.deepEqual(schedule({ retry: 0 }, 500), ['failed'])
  assert.deepEqual(schedule({ retry: 2 }, 500), ['failed', 0, 0])
})

test('linear begins at zero, exponential doubles', () => {
  const linear = { policy: 'linear', delayMs: 100 } as const
  const exponential = { policy: 'exponential', delayMs: 100 } as const
  assert.deepEqual(schedule({ retry: 4, backoff: linear }, 503), ['failed', 0, 100, 200, 300])
  assert.deepEqual(schedule({ retry: 4, backoff: exponential }, undefined), [
    'failed',
    100,
    200,
    400,
    800,
  ])
})

test('what speaks of the event is final, what speaks of the moment is not', () => {
  for (const status of [404, 408, 409, 429, 500, 502, 599])
    assert.deepEqual(schedule({ retry: 1 }, status), ['failed', 0], String(status))
  for (const status of [301, 304, 400, 401, 403, 410, 422])
    assert.deepEqual(schedule({ retry: 1 }, status), ['failed'], String(status))
  for (const status of [200, 202, 204, 299])
    assert.deepEqual(schedule({ retry: 1 }, status), ['delivered'], String(status))
  assert.deepEqual(judge({ status: 200, unusable: 'no event' }, 1, { retry: 1 }).kind, 'retry')
})

test('Retry-After counts when a bound is set, for 429 and 503, up to the bound', () => {
  const policy = { retry: 1, retryAfterMaxMs: 5000 }
  assert.deepEqual(schedule(policy, 429, 3000), ['failed', 3000])
  assert.deepEqual(schedule(policy, 503, 9000), ['failed', 5000])
  assert.deepEqual(schedule(policy, 500, 3000), ['failed', 0])
  assert.deepEqual(schedule({ retry: 1 }, 429, 3000), ['failed', 0])
  const backoff = { policy: 'exponential', delayMs: 4000 } as const
  assert.deepEqual(schedule({ ...policy, backoff }, 429, 3000), ['failed', 4000])
})

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-11-21T10:00:00Z')
  assert.equal(retryAfterMs('7', now), 7000)
  assert.equal(retryAfterMs('Sat, 21 Nov 2026 10:00:30 GMT', now), 30_000)
  assert.equal(retryAfterMs('Sat, 21 Nov 2026 09:00:00 GMT', now), 0)
  assert.equal(retryAfterMs('soon', now), undefined)
  assert.equal(retryAfterMs(undefined, now), undefined)
})

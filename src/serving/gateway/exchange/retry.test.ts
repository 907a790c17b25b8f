import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryAt, RetryBudget, type Loss } from './retry.ts'

const rich = { take: () => true }
const lost = (method: string, retries = 0, repeatable = true) => ({ method, retries, repeatable })

test('idempotent methods are sent again while the whole request is here', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    assert.equal(retryAt('lost', lost(method), rich), 'any', method)
    assert.equal(retryAt('stale', lost(method), rich), 'same', method)
    assert.equal(retryAt('lost', lost(method, 0, false), rich), undefined, method)
  }
  for (const method of ['POST', 'PATCH', 'CONNECT', 'get', 'BREW'])
    for (const how of ['lost', 'stale'] as const)
      assert.equal(retryAt(how, lost(method), rich), undefined, method)
})

test('any method is sent again when the pod says that it has not looked at it', () => {
  assert.equal(retryAt('unseen', lost('POST'), { take: () => false }), 'same')
  assert.equal(retryAt('unseen', lost('POST', 8), rich), undefined)
})

test('attempts are few', () => {
  const attempts = (how: Loss) => {
    let retries = 0
    while (retryAt(how, lost('GET', retries), rich)) retries++
    return retries
  }
  assert.deepEqual([attempts('lost'), attempts('stale'), attempts('unseen')], [2, 2, 8])
})

test('in an outage retries are at most a fifth of the requests, but for the first burst', () => {
  let arrived = 0
  let retried = 0
  const budget = new RetryBudget(() => arrived)
  for (; arrived < 100_000; arrived++)
    for (let retries = 0; retryAt('lost', lost('GET', retries), budget); retries++) retried++
  assert.ok(retried >= 20_000 && retried <= 22_001, `${retried} of ${arrived}`)
})

test('a crash that loses many requests at once may send all of them again, and again later', () => {
  let arrived = 1500
  const budget = new RetryBudget(() => arrived)
  const crash = () => Array.from({ length: 1500 }, () => budget.take()).every((ok) => ok)
  assert.ok(crash())
  arrived += 10_000
  assert.ok(crash())
})

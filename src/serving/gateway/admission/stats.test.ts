import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Meter, Stats } from './stats.ts'

test('concurrency is weighted by time, and a silent revision is reported once more', () => {
  const stats = new Stats()
  const meter = new Meter('ns/rev', stats, 0)
  assert.deepEqual(stats.report(1000), [])
  meter.start(1000)
  meter.start(1500)
  meter.stop(1750)
  // 500 ms of 1, 250 ms of 2, 250 ms of 1
  assert.deepEqual(stats.report(2000), [
    { revision: 'ns/rev', concurrency: 1.25, requestCount: 2, seconds: 1 },
  ])
  assert.deepEqual(stats.report(3000), [
    { revision: 'ns/rev', concurrency: 1, requestCount: 0, seconds: 1 },
  ])
  meter.stop(3500)
  assert.deepEqual(stats.report(4000), [
    { revision: 'ns/rev', concurrency: 0.5, requestCount: 0, seconds: 1 },
  ])
  assert.deepEqual(stats.report(5000), [
    { revision: 'ns/rev', concurrency: 0, requestCount: 0, seconds: 1 },
  ])
  assert.deepEqual(stats.report(6000), [])
})

test('a period begins with the first request after silence', () => {
  const stats = new Stats()
  const meter = new Meter('ns/rev', stats, 0)
  meter.start(10_000)
  assert.deepEqual(stats.report(10_500), [
    { revision: 'ns/rev', concurrency: 1, requestCount: 1, seconds: 0.5 },
  ])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configAutoscaler } from './config/autoscaler.ts'
import { freezeForMs, validateFreezing } from './freezing.ts'

const annotated = (value: string) => ({ 'ebb.dev/freeze-for': value })

test('the annotation counts, then the cluster’s word, and by default nothing is frozen', () => {
  const { defaults } = configAutoscaler
  const cluster = configAutoscaler.parse({ 'freeze-for': '5m' })
  assert.equal(freezeForMs(undefined, defaults), 0)
  assert.equal(freezeForMs(undefined, cluster), 300_000)
  assert.equal(freezeForMs(annotated('10m'), defaults), 600_000)
  assert.equal(freezeForMs(annotated('0s'), cluster), 0)
  // From an API server that did not refuse it.
  assert.equal(freezeForMs(annotated('long'), cluster), 300_000)
})

test('a duration from 0s to a day is taken, anything else is refused with what is expected', () => {
  for (const good of ['0s', '90s', '10m', '24h'])
    assert.deepEqual([...validateFreezing(annotated(good))], [], good)
  for (const bad of ['', 'long', '10', '-1s', '24h1s']) {
    const [complaint] = validateFreezing(annotated(bad))
    assert.equal(complaint?.message, `invalid value: ${bad}`)
    assert.deepEqual(complaint.paths, ['ebb.dev/freeze-for'])
    assert.match(complaint.details ?? '', /from 0s to 24h0m0s, for example 10m/)
  }
  assert.deepEqual([...validateFreezing(undefined)], [])
})

test('config-autoscaler refuses what can’t be meant', () => {
  const refused = (data: Record<string, string>) => () => configAutoscaler.parse(data)
  assert.throws(refused({ 'freeze-for': '-1s' }), /must be in \[0s; 24h0m0s\] range/)
  assert.throws(refused({ 'freeze-for': '25h' }), /freeze-for = 25h0m0s/)
  assert.throws(refused({ 'freeze-memory-percentage': '101' }), /must be in \[0, 100\] range/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../lib/random.ts'
import { newSpanId, parseTraceparent, traceOf, traceparent } from './trace-context.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'

test('a valid traceparent is understood, as the specification has it', () => {
  assert.deepEqual(parseTraceparent(`00-${traceId}-${parentId}-01`), {
    traceId,
    parentId,
    sampled: true,
  })
  assert.equal(parseTraceparent(`00-${traceId}-${parentId}-00`)?.sampled, false)
  // A later version may have more parts.
  assert.equal(parseTraceparent(`cc-${traceId}-${parentId}-01-more`)?.sampled, true)
})

test('what is not a traceparent begins a new trace', () => {
  for (const bad of [
    '',
    'x',
    `ff-${traceId}-${parentId}-01`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${'0'.repeat(32)}-${parentId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId}-${parentId}-1`,
  ]) {
    assert.equal(parseTraceparent(bad), undefined, bad)
    const trace = traceOf(bad, 1, seededRandom(1))
    assert.match(trace.traceId, /^[0-9a-f]{32}$/)
    assert.notEqual(trace.traceId, traceId)
    assert.equal(trace.parentId, '')
    assert.equal(trace.sampled, true)
  }
})

test('the sender decides whether a trace is recorded; else chance does', () => {
  const given = `00-${traceId}-${parentId}-01`
  assert.equal(traceOf(given, 0, seededRandom(1)).sampled, true)
  assert.equal(traceOf(`00-${traceId}-${parentId}-00`, 1, seededRandom(1)).sampled, false)
  const random = seededRandom(7)
  let sampled = 0
  for (let i = 0; i < 2000; i++) if (traceOf(undefined, 0.25, random).sampled) sampled++
  assert.ok(sampled > 400 && sampled < 600, `${sampled} of 2000`)
})

test('ids are fresh', () => {
  const ids = new Set(Array.from({ length: 5000 }, newSpanId))
  assert.equal(ids.size, 5000)
  assert.equal(traceparent(traceId, parentId, true), `00-${traceId}-${parentId}-01`)
})

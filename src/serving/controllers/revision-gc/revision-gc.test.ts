import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { aConfiguration, aRevision } from '../../../testing/serving.ts'
import { configGc } from '../../api/config/gc.ts'
import type { Revision } from '../../api/revision.ts'
import { collect } from './revision-gc.ts'

const hourMs = 3_600_000
const nowMs = Date.UTC(2026, 0, 10)

/** A Revision that lost its traffic so many hours ago. */
const revision = (
  hours: number,
  { state = 'reserve', annotations = {}, createdHours = hours } = {},
): Revision =>
  aRevision(`r${hours}`, 'True', {
    creationTimestamp: rfc3339(nowMs - createdHours * hourMs),
    labels: { 'serving.knative.dev/routingState': state },
    annotations: {
      'serving.knative.dev/routingStateModified': rfc3339(nowMs - hours * hourMs),
      ...annotations,
    },
  })

function gone(data: Record<string, string>, revisions: readonly Revision[], latestReady = '') {
  const configuration = {
    ...aConfiguration('hello'),
    status: { latestReadyRevisionName: latestReady },
  }
  const found = collect({ configuration, revisions, config: configGc.parse(data) }, nowMs)
  return {
    names: found.gone.map(({ metadata }) => metadata.name),
    inHours: found.nextMs === undefined ? undefined : (found.nextMs - nowMs) / hourMs,
  }
}

const atOnce = {
  'retain-since-create-time': 'disabled',
  'retain-since-last-active-time': 'disabled',
  'min-non-active-revisions': '0',
  'max-non-active-revisions': '0',
}
const by = (min: number, max: number | 'disabled') => ({
  'min-non-active-revisions': String(min),
  'max-non-active-revisions': String(max),
})

test('what is in use, the latest ready one, pending ones and exempted ones stay', () => {
  const all = [
    revision(1, { state: 'active' }),
    revision(2, { state: 'pending' }),
    revision(3, { annotations: { 'serving.knative.dev/no-gc': 'TRUE' } }),
    revision(4),
    revision(5),
  ]
  assert.deepEqual(gone(atOnce, all, 'r4').names, ['r5'])
})

test('old ones go, the oldest first, until the minimum is left', () => {
  const all = [revision(100), revision(200), revision(300), revision(1)]
  assert.deepEqual(gone(by(0, 'disabled'), all).names, ['r300', 'r200', 'r100'])
  assert.deepEqual(gone(by(2, 'disabled'), all).names, ['r300', 'r200'])
  assert.deepEqual(gone({}, all).names, [], 'fewer than twenty')
})

test('both ages must be reached, and it is known when that will be', () => {
  assert.deepEqual(gone(by(0, 'disabled'), [revision(20, { createdHours: 40 })]), {
    names: [],
    inHours: 8,
  })
  assert.deepEqual(gone(by(0, 'disabled'), [revision(5, { createdHours: 400 })]), {
    names: [],
    inHours: 10,
  })
})

test('above the maximum the oldest go whatever their age', () => {
  const all = [revision(3), revision(2), revision(1), revision(4)]
  assert.deepEqual(gone(by(1, 2), all).names, ['r4', 'r3'])
})

test('with everything disabled nothing goes', () => {
  assert.deepEqual(gone({ ...atOnce, ...by(0, 'disabled') }, [revision(1000)]).names, [])
})

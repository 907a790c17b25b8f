import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StringMap } from '../../../kube/api/meta.ts'
import { aRevision } from '../../../testing/serving.ts'
import { applyPodAutoscaler, desiredPodAutoscaler } from './pod-autoscaler.ts'

const min = 'autoscaling.knative.dev/min-scale'
const max = 'autoscaling.knative.dev/max-scale'
const kind = 'autoscaling.knative.dev/class'

const desired = (annotations: StringMap) =>
  desiredPodAutoscaler(aRevision('r', 'True', { annotations }), 'Reachable')
const scaleSettings = (annotations: StringMap | undefined) =>
  Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key !== noteKey))
const noteKey = 'ebb.dev/copied-settings'

/** What stands on the PodAutoscaler after it was edited to `edited` and the Revision to `revision`. */
function after(created: StringMap, edited: (stored: StringMap) => StringMap, revision: StringMap) {
  const stored = desired(created)
  const existing = {
    ...stored,
    metadata: { ...stored.metadata, annotations: edited(stored.metadata.annotations ?? {}) },
  }
  return applyPodAutoscaler(desired(revision)).merge?.(existing).metadata.annotations
}

test('settings edited on the PodAutoscaler itself stay', () => {
  const edit = (stored: StringMap) => ({ ...stored, [min]: '2', [max]: '5' })
  assert.deepEqual(scaleSettings(after({ [min]: '1' }, edit, { [min]: '1' })), {
    [min]: '2',
    [max]: '5',
  })
  const remove = (stored: StringMap) =>
    Object.fromEntries(Object.entries(stored).filter(([key]) => key !== min))
  assert.deepEqual(scaleSettings(after({ [min]: '1' }, remove, { [min]: '1' })), {})
})

test('settings changed on the Revision go over as a whole', () => {
  const edit = (stored: StringMap) => ({ ...stored, [min]: '2', [max]: '2' })
  assert.deepEqual(scaleSettings(after({ [min]: '1' }, edit, { [min]: '3' })), { [min]: '3' })
  assert.deepEqual(scaleSettings(after({ [min]: '1' }, edit, {})), {})
})

test('what admission filled in stays; a spoilt note counts as none', () => {
  const fill = (stored: StringMap) => ({ ...stored, [kind]: 'kpa.autoscaling.knative.dev' })
  assert.deepEqual(scaleSettings(after({}, fill, {})), { [kind]: 'kpa.autoscaling.knative.dev' })
  const spoil = (stored: StringMap) => ({ ...stored, [min]: '7', [noteKey]: '{' })
  assert.deepEqual(scaleSettings(after({ [min]: '1' }, spoil, { [min]: '1' })), { [min]: '1' })
})

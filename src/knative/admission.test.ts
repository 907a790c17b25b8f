import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdmissionContext } from '../kube/api/kind.ts'
import type { KubeObject } from '../kube/api/meta.ts'
import { admission } from './admission.ts'

interface Thing extends KubeObject {
  readonly spec: { readonly size: number; readonly filled?: true }
}

const thing = (size: number, metadata: object = {}): Thing => ({
  apiVersion: 'a/v1',
  kind: 'Thing',
  metadata: { name: 't', ...metadata },
  spec: { size },
})

/** Small ones were allowed once, and are no more. */
const admit = admission<Thing>({
  defaults: (object) => ({ ...object, spec: { ...object.spec, filled: true } }),
  *validate({ spec }) {
    if (spec.size < 10) yield { message: 'too small', paths: ['spec.size'] }
  },
})

const context = (old: Thing): AdmissionContext<Thing> => ({
  operation: 'UPDATE',
  old,
  subresource: '',
  user: { username: 'me', groups: [] },
  dryRun: false,
  nowMs: 0,
  read: () => undefined,
  allows: () => true,
  list: () => [],
  warn() {},
})

test('what is being deleted may lose its finalizers, whatever is valid by now', () => {
  const deleted = { deletionTimestamp: '2026-01-01T00:00:00Z' }
  const old = thing(5, { ...deleted, finalizers: ['f'] })
  assert.deepEqual(admit(thing(5, deleted), context(old)), thing(5, deleted))
  // Whoever changes more is asked as always.
  assert.throws(() => admit(thing(6, deleted), context(old)), /too small: spec.size/)
  assert.throws(() => admit(thing(5), context(thing(5, { finalizers: ['f'] }))), /too small/)
  assert.equal(admit(thing(10, deleted), context(old)).spec.filled, true)
})

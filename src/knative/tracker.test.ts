import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../kube/api/meta.ts'
import { createTracker } from './tracker.ts'

const object = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Revision',
  metadata: { name, namespace: 'n' },
})

test('whoever tracks a thing last, and only he, is woken by it', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const step = fc.record({
    observer: fc.constantFrom('x', 'y'),
    targets: fc.option(fc.array(name, { maxLength: 4 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const tracker = createTracker()
      const model = new Map<string, readonly string[]>()
      for (const { observer, targets } of steps) {
        const key = { namespace: 'n', name: observer }
        if (targets) {
          tracker.track(
            key,
            targets.map((target) => ({ kind: 'Revision', namespace: 'n', name: target })),
          )
          model.set(observer, targets)
        } else {
          tracker.forget(key)
          model.delete(observer)
        }
      }
      for (const target of ['a', 'b', 'c']) {
        const woken = [...tracker.observers(object(target))].map((one) => one.name).sort()
        const wanted = [...model].filter(([, targets]) => targets.includes(target))
        assert.deepEqual(woken, wanted.map(([observer]) => observer).sort())
      }
    }),
  )
})

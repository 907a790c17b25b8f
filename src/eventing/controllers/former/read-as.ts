/** A reconciler of today for a kind of the past: it reads its objects in today's words. What is stored stays. */
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'

export const readAs = <T extends KubeObject, World>(
  today: (object: T) => T,
  reconciler: Reconciler<T, World>,
): Reconciler<T, World> => ({
  ...reconciler,
  observe: (object, read, nowMs) => reconciler.observe(today(object), read, nowMs),
})

/**
 * Who looks at what: a reconciler that reads objects it does not own notes them when it observes, and is woken when
 * they change, appear or go (upstream: knative/pkg tracker). Derived from the observed objects: nothing to store.
 */
import { keyText, type KubeObject, type ObjectKey } from '../kube/api/meta.ts'

export interface Tracker {
  /** From now on `observer` is woken by exactly these. */
  track(observer: ObjectKey, targets: readonly Target[]): void
  /** Everyone who looks at the object. */
  observers(object: KubeObject): Iterable<ObjectKey>
  forget(observer: ObjectKey): void
}

export interface Target {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

const targetText = ({ kind, namespace, name }: Target): string => `${kind}/${namespace}/${name}`

export function createTracker(): Tracker {
  const byTarget = new Map<string, Map<string, ObjectKey>>()
  const byObserver = new Map<string, readonly string[]>()

  const release = (observer: string, targets: readonly string[]) => {
    for (const target of targets) {
      const observers = byTarget.get(target)
      observers?.delete(observer)
      if (observers?.size === 0) byTarget.delete(target)
    }
  }

  return {
    track(observer, targets) {
      const id = keyText(observer)
      const wanted = [...new Set(targets.map(targetText))]
      const before = byObserver.get(id) ?? []
      if (before.length === wanted.length && before.every((one, i) => one === wanted[i])) return
      release(id, before)
      for (const target of wanted) {
        let observers = byTarget.get(target)
        if (!observers) byTarget.set(target, (observers = new Map()))
        observers.set(id, observer)
      }
      byObserver.set(id, wanted)
    },
    observers({ kind, metadata }) {
      const target = targetText({ kind, namespace: metadata.namespace ?? '', name: metadata.name })
      return byTarget.get(target)?.values() ?? []
    },
    forget(observer) {
      const id = keyText(observer)
      release(id, byObserver.get(id) ?? [])
      byObserver.delete(id)
    },
  }
}

/** A reader that remembers what it was asked for, so that whoever decided on it hears of changes. */
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../kube/api/meta.ts'
import type { Reader } from '../../kube/controller/reconciler.ts'
import type { Target } from '../../knative/tracker.ts'

/** Stands for all objects of a kind in a namespace. */
export const everyName = '*'

/** What resolving needs to read. */
export interface Lookup {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): T | undefined
  list<T extends KubeObject>(kind: Kind<T>, namespace: string): readonly T[]
}

/** `seen` grows with each object that is asked for, there or not. */
export function lookup(read: Reader, seen: Target[]): Lookup {
  return {
    get(kind, key) {
      seen.push({ kind: kind.kind, ...key })
      return read.get(kind, key)
    },
    list(kind, namespace) {
      seen.push({ kind: kind.kind, namespace, name: everyName })
      return read.list(kind, namespace)
    },
  }
}

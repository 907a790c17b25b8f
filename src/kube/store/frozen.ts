/** Deep freezing. What is frozen already is taken to be so all the way down: unchanged parts of an object cost nothing. */
import type { KubeObject } from '../api/meta.ts'

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const part of Object.values(value)) {
      if (typeof part === 'object') deepFreeze(part)
    }
  }
  return value
}

/** `object` as it is stored at `revision`: a frozen copy with its resourceVersion. */
export const stamped = (object: KubeObject, revision: number): KubeObject =>
  deepFreeze({
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(revision) },
  })

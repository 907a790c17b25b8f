/** Deep freezing. What is frozen already is taken to be so all the way down: unchanged parts of an object cost nothing. */
import type { KubeObject } from '../api/meta.ts'

export function deepFreeze<T>(value: T): T {
  if (isLoose(value)) freeze(value)
  return value
}

const isLoose = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Object.isFrozen(value)

/** Plain loops: opening a large store spends much of its time here, and Object.values takes three times as long. */
function freeze(value: object): void {
  Object.freeze(value) // first, so that a cycle ends
  if (Array.isArray(value)) {
    for (const part of value) if (isLoose(part)) freeze(part)
  } else {
    for (const key in value) {
      const part: unknown = value[key as keyof typeof value]
      if (isLoose(part)) freeze(part)
    }
  }
}

/** `object` as it is stored at `revision`: a frozen copy with its resourceVersion. */
export const stamped = (object: KubeObject, revision: number): KubeObject =>
  deepFreeze({
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(revision) },
  })

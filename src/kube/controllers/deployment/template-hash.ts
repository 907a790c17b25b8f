/** The name part that a pod template gives its ReplicaSet and pods (label `pod-template-hash`). */
import { semanticallyEqual } from '../../controller/difference.ts'
import { fnv32a, letters } from '../short-hash.ts'

export const hashLabel = 'pod-template-hash'

/** A stable hash (FNV-1a, 32 bits) of the template, whatever the order of its fields. `collisions` makes it another one. */
export function templateHash(template: unknown, collisions = 0): string {
  if (collisions > 0 || !isStored(template)) return computed(template, collisions)
  const known = hashes.get(template) ?? computed(template, collisions)
  hashes.set(template, known)
  return known
}

/** Of templates out of the store, which never change: each look at a Deployment asks again. */
const hashes = new WeakMap<object, string>()

const isStored = (template: unknown): template is object =>
  typeof template === 'object' && template !== null && Object.isFrozen(template)

function computed(template: unknown, collisions: number): string {
  const text = canonical(template) + (collisions > 0 ? `#${collisions}` : '')
  return Array.from(
    String(fnv32a(text)),
    (digit) => letters[digit.charCodeAt(0) % letters.length],
  ).join('')
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, field: unknown) =>
    typeof field === 'object' && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  ) ?? ''

interface Template {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> }
  readonly spec?: unknown
}

/** True when two templates make the same pods: equal but for the hash label. */
export function sameTemplate(a: Template = {}, b: Template = {}): boolean {
  return semanticallyEqual(a.spec, b.spec) && semanticallyEqual(metadataOf(a), metadataOf(b))
}

function metadataOf({ metadata }: Template): unknown {
  const { [hashLabel]: _, ...labels } = metadata?.labels ?? {}
  return { ...metadata, labels, creationTimestamp: undefined }
}

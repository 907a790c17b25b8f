/** Revision numbers and annotations of a Deployment's ReplicaSets; `kubectl rollout history` and `undo` read them. */
import type { StringMap } from '../../api/meta.ts'
import type { Deployment } from '../../api/deployment.ts'
import type { ReplicaSet } from '../../api/replica-set.ts'

const prefix = 'deployment.kubernetes.io'
export const revisionAnnotation = `${prefix}/revision`
const historyAnnotation = `${prefix}/revision-history`
const desiredAnnotation = `${prefix}/desired-replicas`
const maxAnnotation = `${prefix}/max-replicas`

/** Annotations of the Deployment that its ReplicaSets do not get. */
const notCopied: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.daemonset.template.generation',
  revisionAnnotation,
  historyAnnotation,
  desiredAnnotation,
  maxAnnotation,
])

const number = (annotations: StringMap | undefined, key: string): number => {
  const value = Number(annotations?.[key] ?? 0)
  return Number.isSafeInteger(value) ? value : 0
}

export const revisionOf = ({ metadata }: ReplicaSet): number =>
  number(metadata.annotations, revisionAnnotation)

export const annotatedMax = ({ metadata }: ReplicaSet): number =>
  number(metadata.annotations, maxAnnotation)

/** The number of replicas of the Deployment when this ReplicaSet was last sized; undefined when it never was. */
export const annotatedDesired = ({ metadata }: ReplicaSet): number | undefined =>
  metadata.annotations?.[desiredAnnotation] === undefined
    ? undefined
    : number(metadata.annotations, desiredAnnotation)

export const sizeAnnotations = (replicas: number, maxSurge: number): StringMap => ({
  [desiredAnnotation]: String(replicas),
  [maxAnnotation]: String(replicas + maxSurge),
})

export const nextRevision = (old: readonly ReplicaSet[]): number =>
  Math.max(0, ...old.map(revisionOf)) + 1

/** Annotations of the newest ReplicaSet at `revision`: the Deployment's own, and which revisions it was before. */
export function newestAnnotations(
  deployment: Deployment,
  newest: ReplicaSet | undefined,
  revision: number,
): StringMap {
  const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(
    ([key]) => !notCopied.has(key),
  )
  const before = newest?.metadata.annotations?.[revisionAnnotation]
  const risen = newest === undefined || revisionOf(newest) < revision
  const history = newest?.metadata.annotations?.[historyAnnotation]
  return {
    ...Object.fromEntries(copied),
    ...(risen && { [revisionAnnotation]: String(revision) }),
    ...(risen && before && { [historyAnnotation]: history ? `${history},${before}` : before }),
  }
}

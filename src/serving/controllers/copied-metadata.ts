/** What of an object's labels and annotations its children carry. */
import type { ObjectMeta, StringMap } from '../../kube/api/meta.ts'
import { annotation, annotationSpellings, label } from '../api/names.ts'

/** `map` without the keys that `drop` names. */
export function without(map: StringMap | undefined, drop: (key: string) => boolean): StringMap {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key]) => !drop(key)))
}

/** Only the entries that have a value. */
export function present(map: Readonly<Record<string, string | undefined>>): StringMap {
  const result: Record<string, string> = {}
  for (const [key, value] of Object.entries(map)) if (value !== undefined) result[key] = value
  return result
}

const rolloutDuration: readonly string[] = annotationSpellings.rolloutDuration

/** A Service's annotations as its Route has them. */
export const routeAnnotations = (service: ObjectMeta): StringMap =>
  without(service.annotations, (key) => key === annotation.lastApplied)

/** A Service's annotations as its Configuration has them, but for `routes`. */
export const configurationAnnotations = (service: ObjectMeta): StringMap =>
  without(
    service.annotations,
    (key) => key === annotation.lastApplied || rolloutDuration.includes(key),
  )

/** Annotations that speak of the Revision itself, not of what runs it. */
const revisionOnly: ReadonlySet<string> = new Set([
  annotation.lastPinned,
  annotation.noGC,
  annotation.routingStateModified,
  annotation.routes,
])

/** A Revision's annotations as its PodAutoscaler has them. */
export const autoscalerAnnotations = (revision: ObjectMeta): StringMap =>
  without(revision.annotations, (key) => revisionOnly.has(key))

/** A Revision's annotations as its Deployment, pods and image caches have them. */
export const deploymentAnnotations = (revision: ObjectMeta): StringMap =>
  without(
    revision.annotations,
    (key) => revisionOnly.has(key) || key.startsWith('autoscaling.knative.dev/'),
  )

/** The labels of everything that belongs to a Revision. */
export const revisionLabels = (revision: ObjectMeta): StringMap => ({
  ...without(revision.labels, (key) => key === label.route || key === label.routingState),
  [label.revision]: revision.name,
  [label.revisionUID]: revision.uid ?? '',
  // A user's own `app` stays: it is how other tools group pods.
  [label.app]: revision.labels?.[label.app] ?? revision.name,
})

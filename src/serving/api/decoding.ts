/**
 * Init containers, the pod's security context and the sources of some volumes are kept by the schema as they are. Before
 * anything looks into them they must have Kubernetes' types; Knative's webhook finds that when it decodes the object.
 */
import { defaultingWebhook, denied } from '../../knative/admission.ts'
import { builtin } from '../../kube/api/schema.ts'
import { decodeProblem } from '../../kube/api/structural.ts'
import type { RevisionSpec } from './revision-spec.ts'

const podSpec = builtin('io.k8s.api.core.v1.PodSpec')

/** Throws the webhook's denial when the spec has not the types of a pod's. */
export function refuseUndecodable(spec: RevisionSpec): void {
  // As it would arrive over HTTP: a reconciler's object may have fields that are undefined.
  const sent: unknown = JSON.parse(JSON.stringify(spec))
  const problem = nullItem(sent, 'spec') ?? decodeProblem(podSpec, sent, 'PodSpec')
  if (problem !== undefined) {
    throw denied(
      defaultingWebhook,
      'decoding request failed',
      `cannot decode incoming new object: ${problem}`,
    )
  }
}

/** Where a list has a null in it: Go would make an empty item of that, which is never what is meant. */
function nullItem(value: unknown, path: string): string | undefined {
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      const at = `${path}[${i}]`
      const found = item === null ? `${at} is null` : nullItem(item, at)
      if (found) return found
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, field] of Object.entries(value)) {
      const found = nullItem(field, `${path}.${key}`)
      if (found) return found
    }
  }
  return undefined
}

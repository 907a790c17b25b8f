/** Who may send to an object, as the engine is told: its audience and the EventPolicies that hold for it, resolved. */
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { EventPolicy } from '../../api/eventing/event-policy.ts'
import type { Gate } from '../../broker/feed.ts'
import { policiesFor } from './policies.ts'
import { audienceOf } from './audience.ts'

/** Undefined = everybody, as authentication is off. */
export function gateOf(kind: Kind, object: KubeObject, read: Reader): Gate | undefined {
  const found = policiesFor(kind, object, read)
  if (!found) return undefined
  const { namespace = '' } = object.metadata
  return {
    audience: audienceOf(kind, object),
    namespace,
    mode: found.mode,
    policies: found.ready.map((name) => {
      const policy = read.get(EventPolicy, { namespace, name })
      const { filters } = policy?.spec ?? {}
      return {
        name,
        subjects: policy?.status?.from ?? [],
        ...(filters && filters.length > 0 && { filters }),
      }
    }),
  }
}

/** Spread into a part of the engine's configuration. */
export function gateIn(kind: Kind, object: KubeObject, read: Reader): { readonly gate?: Gate } {
  const gate = gateOf(kind, object, read)
  return gate ? { gate } : {}
}

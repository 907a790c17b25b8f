/**
 * References to Brokers and channels of other namespaces, with the feature cross-namespace-event-links: who makes one
 * must be allowed to subscribe there, by the verb `knsubscribe` (knative.dev/eventing `pkg/crossnamespace`).
 */
import { genericError, type FieldError } from '../../../knative/field-error.ts'
import type { AdmissionContext } from '../../../kube/api/kind.ts'

export interface CrossReference {
  /** The resource that is subscribed to: `brokers`. */
  readonly group: string
  readonly resource: string
  readonly namespace: string
  readonly name: string
}

/** Complains when `to` is in another namespace than `own` and the user may not subscribe to it. */
export function* validateAcross(
  to: CrossReference,
  own: string,
  path: string,
  { user, allows }: Pick<AdmissionContext, 'user' | 'allows'>,
): Generator<FieldError> {
  if (to.namespace === '' || to.namespace === own) return
  if (allows({ verb: 'knsubscribe', ...to })) return
  yield genericError(
    `user ${user.username} is not authorized to get target resource in namespace: ${to.namespace}`,
    path,
  )
}

/**
 * Defaulting and validation of Knative kinds as one `KindDefinition.admit`: refusals in the words and with the code of
 * Knative's admission webhooks, warnings as Warning headers.
 */
import type { AdmissionContext } from '../kube/api/kind.ts'
import type { KubeObject } from '../kube/api/meta.ts'
import { StatusError } from '../kube/api/status-error.ts'
import { sameJson } from '../kube/api/validation.ts'
import { reportErrors, type FieldErrors } from './field-error.ts'

export interface Admission<T extends KubeObject> {
  /** Who says no. Default: Serving's webhook. */
  readonly webhook?: string
  /** Fills in what is absent. The old object is defaulted too before the two are compared. */
  readonly defaults?: (object: T, context: AdmissionContext<T>) => T
  readonly validate?: (object: T, context: AdmissionContext<T>) => FieldErrors
  /** Runs on what is valid; throws to refuse. */
  readonly callback?: (object: T, context: AdmissionContext<T>) => void
}

type Phase =
  | 'mutation failed'
  | 'validation failed'
  | 'validation callback failed'
  | 'decoding request failed'

/** What a webhook's denial looks like to a client: 400 BadRequest. */
export const denied = (webhook: string, phase: Phase, text: string): StatusError =>
  new StatusError(
    'BadRequest',
    `admission webhook "${webhook}" denied the request: ${phase}: ${text}`,
  )

export const validationWebhook = 'validation.webhook.serving.knative.dev'
export const defaultingWebhook = 'webhook.serving.knative.dev'
export const configWebhook = 'config.webhook.serving.knative.dev'

/**
 * Only its metadata changes, and it is being deleted: that is how finalizers go. What was valid once may be so no more (a
 * feature was turned off, what it refers to is gone), and must not stay for ever because of that.
 */
const isLeaving = <T extends KubeObject>(object: T, { old }: AdmissionContext<T>): boolean =>
  old?.metadata.deletionTimestamp !== undefined &&
  sameJson({ ...old, metadata: undefined }, { ...object, metadata: undefined })

/** The `admit` of a kind. Writes to a subresource pass as they are: their writer is a controller. */
export function admission<T extends KubeObject>({
  webhook = validationWebhook,
  defaults,
  validate,
  callback,
}: Admission<T>): (object: T, context: AdmissionContext<T>) => T {
  return (object, context) => {
    if (context.subresource !== '' || isLeaving(object, context)) return object
    const admitted = defaults ? defaults(object, context) : object
    const { refusal, warnings } = reportErrors(validate?.(admitted, context) ?? [])
    for (const warning of warnings) context.warn(warning)
    if (refusal) throw denied(webhook, 'validation failed', refusal)
    callback?.(admitted, context)
    return admitted
  }
}

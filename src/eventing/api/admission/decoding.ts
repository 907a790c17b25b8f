/**
 * Fields that survive pruning and mean nothing: Knative's webhook decodes strictly and refuses them, so that a mistyped
 * name is not taken for silence.
 */
import { denied } from '../../../knative/admission.ts'
import type { StatusError } from '../../../kube/api/status-error.ts'
import { defaultingWebhook } from '../names.ts'

/** Throws the webhook's denial when `value` has a field that is not `known`. */
export function refuseUnknown(value: object, known: Iterable<string>): void {
  const fields = new Set(known)
  const unknown = Object.keys(value).find((field) => !fields.has(field))
  if (unknown !== undefined) throw cannotDecode(`unknown field "${unknown}"`)
}

/** The webhook's denial of what is not of the types it is to have. */
export const cannotDecode = (problem: string): StatusError =>
  denied(
    defaultingWebhook,
    'mutation failed',
    `cannot decode incoming new object: json: ${problem}`,
  )

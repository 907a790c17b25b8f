/** What conversions of Serving's old forms share; how fields are read is Knative's in general. */
import { denied, validationWebhook } from '../../../knative/admission.ts'
import { reportErrors, type FieldError } from '../../../knative/field-error.ts'

export {
  fieldsOf,
  isFields,
  isPatched,
  listOf,
  partsOf,
  textOf,
  withParts,
  without,
  type Fields,
} from '../../../knative/old-form.ts'

/** Throws the webhook's denial when there is a complaint. */
export function refuse(errors: Iterable<FieldError>): void {
  const { refusal } = reportErrors(errors)
  if (refusal) throw denied(validationWebhook, 'validation failed', refusal)
}

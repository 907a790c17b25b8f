/** Refusals of query parameters: 422 on `ListOptions.meta.k8s.io ""` and the like. */
import { invalid } from '../../api/status-error.ts'
import type { StatusError } from '../../api/status-error.ts'

export type OptionsKind =
  | 'CreateOptions'
  | 'UpdateOptions'
  | 'PatchOptions'
  | 'DeleteOptions'
  | 'ListOptions'

export const invalidOption = (
  kind: OptionsKind,
  field: string,
  detail: string,
  reason = 'FieldValueInvalid',
): StatusError =>
  invalid({ group: 'meta.k8s.io', kind, plural: '' }, '', [{ reason, field, detail }])

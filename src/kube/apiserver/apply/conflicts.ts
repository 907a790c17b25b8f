/** 409 of an apply that says of a field what another manager says otherwise, in Kubernetes' words. */
import { StatusError } from '../../api/status-error.ts'
import { places, placeText } from './field-set.ts'
import type { FieldTree } from './field-set.ts'
import type { Entry } from './managers.ts'

export interface Conflict {
  readonly with: Entry
  readonly fields: FieldTree
}

/** Fields that are named in one refusal; more make no one wiser. */
const fieldLimit = 500

export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const all = conflicts
    .flatMap((conflict) =>
      [...places(conflict.fields)].map((place) => ({
        manager: managerText(conflict.with),
        field: placeText(place),
      })),
    )
    .toSorted((a, b) => (a.manager < b.manager ? -1 : a.manager > b.manager ? 1 : 0))
  const causes = all.slice(0, fieldLimit).map(({ manager, field }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${manager}`,
    field,
  }))
  return new StatusError('Conflict', messageOf(all), { causes })
}

function messageOf(all: readonly { readonly manager: string; readonly field: string }[]): string {
  const [only] = all
  if (all.length === 1 && only)
    return `Apply failed with 1 conflict: conflict with ${only.manager}: ${only.field}`
  const lines: string[] = []
  for (const [manager, theirs] of Map.groupBy(all.slice(0, fieldLimit), (each) => each.manager)) {
    lines.push(`conflicts with ${manager}:`)
    for (const { field } of theirs) lines.push(`- ${field}`)
  }
  return `Apply failed with ${all.length} conflicts: ${lines.join('\n')}`
}

/** `"m1"`, `"kubectl-client-side-apply" using apps/v1`, `"kubelet" with subresource "status" using v1`. */
function managerText({ manager, operation, apiVersion, subresource }: Entry): string {
  const part = subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`
  const version = operation === 'Update' ? ` using ${apiVersion}` : ''
  return `${JSON.stringify(manager)}${part}${version}`
}

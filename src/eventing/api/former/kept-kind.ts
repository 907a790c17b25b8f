/**
 * Kinds of the past that nothing has taken the place of object by object: kept as they were written, and their status
 * says what is built in of them, or what to use today.
 */
import { admission } from '../../../knative/admission.ts'
import { readyColumns } from '../../../knative/columns.ts'
import type { FieldError } from '../../../knative/field-error.ts'
import { partsOf, type Fields } from '../../../knative/old-form.ts'
import { statusFields } from '../../../knative/status.ts'
import type { KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Static } from '../../../kube/api/schema.ts'
import { ageColumn } from '../duck/address-status.ts'
import { definitionLabels, validationWebhook } from '../names.ts'

const anything = { 'x-kubernetes-preserve-unknown-fields': true } as const

export const KeptStatus = object(statusFields, anything)
export type KeptStatus = Static<typeof KeptStatus>

export interface KeptObject extends KubeObject {
  readonly spec?: Fields
  readonly status?: KeptStatus
}

/** Why Ready is Unknown of what can not work here. */
export const legacyReason = 'LegacyKind'

/** What becomes of an object: the conditions that hold as it is built in, or what to do instead, for people. */
export type Fate = { readonly holds: readonly string[] } | { readonly advice: string }

export interface KeptForm {
  readonly group: string
  readonly kind: string
  readonly plural: string
  readonly categories?: readonly string[]
  /** Default true. */
  readonly namespaced?: boolean
  readonly description: string
  /** What to use today, for the warning. */
  readonly instead: string
  readonly missing?: (spec: Fields) => Iterable<FieldError>
}

export interface KeptKind {
  readonly kind: KindDefinition<KeptObject>
  readonly fateOf: (object: KeptObject) => Fate
}

/** The definition of a kind of the past whose fields are looked at with care. */
export const keptDefinition = ({
  group,
  kind,
  plural,
  categories = ['knative', 'eventing'],
  namespaced = true,
  description,
  instead,
  missing = () => [],
}: KeptForm): KindDefinition<KeptObject> => ({
  group,
  version: 'v1alpha1',
  kind,
  plural,
  singular: kind.toLowerCase(),
  categories,
  namespaced,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description,
  definition: { labels: definitionLabels.plain },
  admit: admission<KeptObject>({
    webhook: validationWebhook,
    defaults(kept, context) {
      context.warn(`${group}/v1alpha1 ${kind} is deprecated; use ${instead}`)
      return kept
    },
    validate: (kept) => missing(partsOf(kept).spec),
  }),
  schema: object({ spec: object({}, anything), status: KeptStatus }),
  columns: [ageColumn, ...readyColumns],
})

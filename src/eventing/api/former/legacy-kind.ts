/**
 * Kinds that have moved to another group (contract eventing part 9). Their objects are kept as they were written; a
 * controller makes the object of today, of the same name, and repeats what that says.
 */
import { admission } from '../../../knative/admission.ts'
import { readyColumns } from '../../../knative/columns.ts'
import type { FieldError } from '../../../knative/field-error.ts'
import { fieldsOf, partsOf, type Fields } from '../../../knative/old-form.ts'
import { statusFields } from '../../../knative/status.ts'
import type { Kind, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { list, object, type Static } from '../../../kube/api/schema.ts'
import { addressFields, ageColumn, urlColumn } from '../duck/address-status.ts'
import { definitionLabels, validationWebhook } from '../names.ts'

const anything = object({}, { 'x-kubernetes-preserve-unknown-fields': true })

export const LegacyStatus = object(
  { ...statusFields, ...addressFields, caseStatuses: list(anything) },
  { 'x-kubernetes-preserve-unknown-fields': true },
)
export type LegacyStatus = Static<typeof LegacyStatus>

export interface LegacyObject extends KubeObject {
  readonly spec?: Fields
  readonly status?: LegacyStatus
}

/** What such a kind was. */
export interface LegacyForm {
  readonly group: string
  readonly kind: string
  readonly plural: string
  readonly categories: readonly string[]
  readonly successor: Kind
  readonly description: string
  /** As a spec of the successor. Refuses what can not be said. */
  readonly convert: (spec: Fields, patched: boolean) => Fields
  readonly missing: (spec: Fields) => Iterable<FieldError>
  /** Fields that were never of this kind and are taken nevertheless, by the one that is meant. */
  readonly mistaken?: Readonly<Record<string, string>>
  /** Conditions of then by those of today. */
  readonly conditions?: Readonly<Record<string, string>>
}

export interface LegacyKind {
  readonly kind: KindDefinition<LegacyObject>
  readonly successor: Kind
  /** The spec of the object of today. */
  readonly specOf: (legacy: LegacyObject) => Fields
  readonly conditions: Readonly<Record<string, string>>
}

export const legacyKind = (form: LegacyForm): LegacyKind => {
  const { group, kind, plural, categories, successor, description, convert, missing } = form
  return {
    successor,
    conditions: form.conditions ?? {},
    specOf: (legacy) => convert(fieldsOf(legacy.spec), true),
    kind: {
      group,
      version: 'v1alpha1',
      kind,
      plural,
      singular: kind.toLowerCase(),
      categories,
      namespaced: true,
      flavour: 'custom',
      hasStatus: true,
      hasGeneration: true,
      description,
      definition: { labels: definitionLabels.addressable },
      admit: admission<LegacyObject>({
        webhook: validationWebhook,
        defaults(legacy, context) {
          context.warn(
            `${group}/v1alpha1 ${kind} is deprecated; use ${successor.group}/v1 ${successor.kind}`,
          )
          for (const [field, meant] of Object.entries(form.mistaken ?? {}))
            if (partsOf(legacy).spec[field] !== undefined)
              context.warn(`spec.${field} is deprecated; use spec.${meant}`)
          return legacy
        },
        *validate(legacy) {
          const { spec } = partsOf(legacy)
          yield* missing(spec)
          convert(spec, false)
        },
      }),
      schema: object({ spec: anything, status: LegacyStatus }),
      columns: [urlColumn, ageColumn, ...readyColumns],
    },
  }
}

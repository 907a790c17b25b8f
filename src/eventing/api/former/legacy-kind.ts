/**
 * Kinds that have moved to another group. Their objects are kept as they were written; a controller makes the object of
 * today, of the same name, and repeats what that says.
 */
import { admission } from '../../../knative/admission.ts'
import { readyColumns } from '../../../knative/columns.ts'
import type { FieldError } from '../../../knative/field-error.ts'
import { fieldsOf, partsOf, type Fields } from '../../../knative/old-form.ts'
import { statusFields } from '../../../knative/status.ts'
import type { Column, Kind, KindDefinition } from '../../../kube/api/kind.ts'
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
  /** What to use today, for the warning; default: the successor. */
  readonly instead?: string
  readonly description: string
  /** By which tools look for kinds of a sort; default: those of what has an address. */
  readonly labels?: Readonly<Record<string, string>>
  readonly columns?: readonly Column[]
  /** As a spec of the successor. Refuses what can not be said. */
  readonly convert: (spec: Fields, patched: boolean, namespace: string) => Fields
  /** `before`: of the stored object, on an update. */
  readonly missing: (spec: Fields, before?: Fields) => Iterable<FieldError>
  /** What is done with it that people may not expect, in words. */
  readonly remarks?: (spec: Fields) => readonly string[]
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
  const { instead = `${successor.group}/${successor.version} ${successor.kind}` } = form
  return {
    successor,
    conditions: form.conditions ?? {},
    specOf: (legacy) => convert(fieldsOf(legacy.spec), true, legacy.metadata.namespace ?? ''),
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
      definition: { labels: form.labels ?? definitionLabels.addressable },
      admit: admission<LegacyObject>({
        webhook: validationWebhook,
        defaults(legacy, context) {
          context.warn(`${group}/v1alpha1 ${kind} is deprecated; use ${instead}`)
          for (const remark of form.remarks?.(partsOf(legacy).spec) ?? []) context.warn(remark)
          for (const [field, meant] of Object.entries(form.mistaken ?? {}))
            if (partsOf(legacy).spec[field] !== undefined)
              context.warn(`spec.${field} is deprecated; use spec.${meant}`)
          return legacy
        },
        *validate(legacy, { old }) {
          const { spec } = partsOf(legacy)
          yield* missing(spec, old && partsOf(old).spec)
          convert(spec, false, legacy.metadata.namespace ?? '')
        },
      }),
      schema: object({ spec: anything, status: LegacyStatus }),
      columns: form.columns ?? [urlColumn, ageColumn, ...readyColumns],
    },
  }
}

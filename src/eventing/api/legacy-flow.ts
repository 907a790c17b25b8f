/**
 * Sequence, Parallel and Choice as they were in messaging.knative.dev until 0.9 (contract eventing §9.4). They are kept as
 * they were written; a controller makes the flow of today, of the same name, and repeats what that says.
 */
import { admission } from '../../knative/admission.ts'
import { readyColumns } from '../../knative/columns.ts'
import {
  missingField,
  missingOneOf,
  multipleOneOf,
  type FieldError,
} from '../../knative/field-error.ts'
import { fieldsOf, listOf, partsOf, type Fields } from '../../knative/old-form.ts'
import { statusFields } from '../../knative/status.ts'
import type { Kind, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { list, object, type Static } from '../../kube/api/schema.ts'
import { addressFields, ageColumn, urlColumn } from './address-status.ts'
import { deprecation } from './conversion/destination.ts'
import { parallelSpec, sequenceSpec } from './conversion/flows.ts'
import { definitionLabels, flowsGroup, messagingGroup, validationWebhook } from './names.ts'
import { Parallel } from './parallel.ts'
import { Sequence } from './sequence.ts'

const anything = object({}, { 'x-kubernetes-preserve-unknown-fields': true })

export const LegacyFlowStatus = object(
  { ...statusFields, ...addressFields, caseStatuses: list(anything) },
  { 'x-kubernetes-preserve-unknown-fields': true },
)
export type LegacyFlowStatus = Static<typeof LegacyFlowStatus>

export interface LegacyFlow extends KubeObject {
  readonly spec?: Fields
  readonly status?: LegacyFlowStatus
}

interface Form {
  readonly kind: string
  readonly plural: string
  readonly successor: Kind
  readonly description: string
  /** As a spec of the successor. Refuses what can not be said. */
  readonly convert: (spec: Fields, patched: boolean) => Fields
  readonly missing: (spec: Fields) => Iterable<FieldError>
}

const branchesOf = function* (spec: Fields): Generator<FieldError> {
  if (spec['branches'] !== undefined && spec['cases'] !== undefined)
    yield multipleOneOf('spec.branches', 'spec.cases')
  else if (listOf(spec['branches'] ?? spec['cases']).length === 0)
    yield missingOneOf('spec.branches', 'spec.cases')
}

const stepsOf = function* (spec: Fields): Generator<FieldError> {
  if (listOf(spec['steps']).length === 0) yield missingField('spec.steps')
}

const forms: readonly Form[] = [
  {
    kind: 'Sequence',
    plural: 'sequences',
    successor: Sequence,
    description: 'Old form of flows.knative.dev Sequence.',
    convert: sequenceSpec,
    missing: stepsOf,
  },
  {
    kind: 'Parallel',
    plural: 'parallels',
    successor: Parallel,
    description: 'Old form of flows.knative.dev Parallel.',
    convert: parallelSpec,
    missing: branchesOf,
  },
  {
    kind: 'Choice',
    plural: 'choices',
    successor: Parallel,
    description: 'Predecessor of flows.knative.dev Parallel.',
    convert: parallelSpec,
    missing: branchesOf,
  },
]

export interface LegacyFlowKind {
  readonly kind: KindDefinition<LegacyFlow>
  readonly successor: Kind
  /** The spec of the flow of today. */
  readonly specOf: (flow: LegacyFlow) => Fields
}

export const legacyFlows: readonly LegacyFlowKind[] = forms.map(
  ({ kind, plural, successor, description, convert, missing }) => ({
    successor,
    specOf: (flow) => convert(fieldsOf(flow.spec), true),
    kind: {
      group: messagingGroup,
      version: 'v1alpha1',
      kind,
      plural,
      singular: kind.toLowerCase(),
      categories: ['all', 'knative', 'messaging'],
      namespaced: true,
      flavour: 'custom',
      hasStatus: true,
      hasGeneration: true,
      description,
      definition: { labels: definitionLabels.addressable },
      admit: admission<LegacyFlow>({
        webhook: validationWebhook,
        defaults(flow, context) {
          context.warn(
            `${deprecation(messagingGroup, 'v1alpha1', kind)}`.replace(
              /use .*$/,
              `use ${flowsGroup}/v1 ${successor.kind}`,
            ),
          )
          if (kind === 'Parallel' && partsOf(flow).spec['cases'] !== undefined)
            context.warn('spec.cases is deprecated; use spec.branches')
          return flow
        },
        *validate(flow) {
          const { spec } = partsOf(flow)
          yield* missing(spec)
          convert(spec, false)
        },
      }),
      schema: object({ spec: anything, status: LegacyFlowStatus }),
      columns: [urlColumn, ageColumn, ...readyColumns],
    },
  }),
)

/** Sequence, Parallel and Choice as they were in messaging.knative.dev until 0.9. */
import {
  missingField,
  missingOneOf,
  multipleOneOf,
  type FieldError,
} from '../../../knative/field-error.ts'
import { listOf, type Fields } from '../../../knative/old-form.ts'
import { parallelSpec, sequenceSpec } from '../conversion/flows.ts'
import { legacyKind, type LegacyForm, type LegacyKind } from './legacy-kind.ts'
import { messagingGroup } from '../names.ts'
import { Parallel } from '../flows/parallel.ts'
import { Sequence } from '../flows/sequence.ts'

const branchesOf = function* (spec: Fields): Generator<FieldError> {
  if (spec['branches'] !== undefined && spec['cases'] !== undefined)
    yield multipleOneOf('spec.branches', 'spec.cases')
  else if (listOf(spec['branches'] ?? spec['cases']).length === 0)
    yield missingOneOf('spec.branches', 'spec.cases')
}

const stepsOf = function* (spec: Fields): Generator<FieldError> {
  if (listOf(spec['steps']).length === 0) yield missingField('spec.steps')
}

const all = { group: messagingGroup, categories: ['all', 'knative', 'messaging'] } as const

const forms: readonly LegacyForm[] = [
  {
    ...all,
    kind: 'Sequence',
    plural: 'sequences',
    successor: Sequence,
    description: 'Old form of flows.knative.dev Sequence.',
    convert: sequenceSpec,
    missing: stepsOf,
  },
  {
    ...all,
    kind: 'Parallel',
    plural: 'parallels',
    successor: Parallel,
    description: 'Old form of flows.knative.dev Parallel.',
    convert: parallelSpec,
    missing: branchesOf,
    // Of Choice; the book's Parallel has it.
    mistaken: { cases: 'branches' },
  },
  {
    ...all,
    kind: 'Choice',
    plural: 'choices',
    successor: Parallel,
    description: 'Predecessor of flows.knative.dev Parallel.',
    convert: parallelSpec,
    missing: branchesOf,
  },
]

export const legacyFlows: readonly LegacyKind[] = forms.map(legacyKind)

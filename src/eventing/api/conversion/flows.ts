/** flows.knative.dev before v1: bare references, and `cases` for what are branches. */
import { fieldsOf, listOf, without, type Fields } from '../../../knative/old-form.ts'
import { multipleOneOf } from '../../../knative/field-error.ts'
import type { ServedVersion } from '../../../kube/api/kind.ts'
import type { Schema } from '../../../kube/api/schema.ts'
import { bareOf, destinationOf, mapped, refuse } from './destination.ts'
import { oldVersion } from './old-version.ts'

const group = 'flows.knative.dev'

/** Spec of a Sequence of any age as it is said today. */
export const sequenceSpec = (spec: Fields, patched: boolean): Fields =>
  mapped(spec, {
    steps: (steps) =>
      listOf(steps).map((step, i) => destinationOf(step, `spec.steps[${i}]`, patched) ?? {}),
    reply: (reply) => destinationOf(reply, 'spec.reply', patched),
  })

/** Spec of a Parallel or a Choice of any age as it is said today. */
export function parallelSpec(spec: Fields, patched: boolean): Fields {
  const { cases } = spec
  if (cases !== undefined && spec['branches'] !== undefined && !patched)
    refuse([multipleOneOf('spec.branches', 'spec.cases')])
  const branches = listOf(cases ?? spec['branches']).map((branch, i) =>
    branchOf(branch, `spec.branches[${i}]`, patched),
  )
  return mapped(
    { ...without(spec, 'cases'), ...(branches.length > 0 && { branches }) },
    { reply: (reply) => destinationOf(reply, 'spec.reply', patched) },
  )
}

const branchOf = (branch: unknown, path: string, patched: boolean): Fields =>
  mapped(
    fieldsOf(branch),
    Object.fromEntries(
      ['filter', 'subscriber', 'reply'].map((field) => [
        field,
        (value: unknown) => destinationOf(value, `${path}.${field}`, patched),
      ]),
    ),
  )

export const sequenceVersions = (schema: Schema): readonly ServedVersion[] => [
  oldVersion({ group, version: 'v1beta1', kind: 'Sequence', schema }),
  oldVersion({
    group,
    version: 'v1alpha1',
    kind: 'Sequence',
    toSpec: sequenceSpec,
    fromSpec: (spec) => mapped(spec, { reply: bareOf }),
  }),
]

export const parallelVersions = (schema: Schema): readonly ServedVersion[] => [
  oldVersion({ group, version: 'v1beta1', kind: 'Parallel', schema }),
  oldVersion({
    group,
    version: 'v1alpha1',
    kind: 'Parallel',
    toSpec: parallelSpec,
    fromSpec: (spec) => mapped(spec, { reply: bareOf }),
  }),
]

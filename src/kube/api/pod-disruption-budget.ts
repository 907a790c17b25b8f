/** PodDisruptionBudget: how many of some pods may be missing by somebody's will (policy/v1). Evictions honour it. */
import type { PodDisruptionBudget as BudgetType } from 'kubernetes-types/policy/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { labelSelectorProblems } from './label-selector-problems.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { notNegative, notSupported, refuseInvalid, wrong, type Complaints } from './validation.ts'

export type PodDisruptionBudget = Stored<BudgetType>

export const PodDisruptionBudget: KindDefinition<PodDisruptionBudget> = {
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
  singular: 'poddisruptionbudget',
  shortNames: ['pdb'],
  namespaced: true,
  description: 'A PodDisruptionBudget says how many of some pods must stay when pods are evicted.',
  schema: builtin<PodDisruptionBudget>('io.k8s.api.policy.v1.PodDisruptionBudget'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Min Available',
      type: 'string',
      description: 'Pods that must stay.',
      value: ({ spec }) => String(spec?.minAvailable ?? 'N/A'),
    },
    {
      name: 'Max Unavailable',
      type: 'string',
      description: 'Pods that may be missing.',
      value: ({ spec }) => String(spec?.maxUnavailable ?? 'N/A'),
    },
    {
      name: 'Allowed Disruptions',
      type: 'integer',
      description: 'Pods that may be evicted now.',
      value: ({ status }) => status?.disruptionsAllowed ?? 0,
    },
    ageColumn,
  ],
  admit: (budget, { subresource, operation }) =>
    subresource === 'status'
      ? budget
      : operation === 'CREATE'
        ? {
            ...refuseInvalid(PodDisruptionBudget, budget, problems(budget)),
            status: {
              currentHealthy: 0,
              desiredHealthy: 0,
              disruptionsAllowed: 0,
              expectedPods: 0,
            },
          }
        : refuseInvalid(PodDisruptionBudget, budget, problems(budget)),
}

function* problems({ spec = {} }: PodDisruptionBudget): Complaints {
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy: policy } = spec
  if (minAvailable !== undefined && maxUnavailable !== undefined)
    yield wrong('spec', spec, 'minAvailable and maxUnavailable cannot be both set')
  for (const [field, value] of Object.entries({ minAvailable, maxUnavailable })) {
    if (typeof value === 'number') yield* notNegative(`spec.${field}`, value)
    else if (typeof value === 'string' && !/^[0-9]+%$/.test(value))
      yield wrong(
        `spec.${field}`,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      )
    else if (typeof value === 'string' && Number.parseInt(value, 10) > 100)
      yield wrong(`spec.${field}`, value, 'must not be greater than 100%')
  }
  if (policy !== undefined && policy !== 'IfHealthyBudget' && policy !== 'AlwaysAllow')
    yield notSupported('spec.unhealthyPodEvictionPolicy', policy, [
      'AlwaysAllow',
      'IfHealthyBudget',
    ])
  if (selector) yield* labelSelectorProblems('spec.selector', selector)
}

/** PriorityClass: a name for how important pods are (scheduling.k8s.io/v1). Pods get the number when they are made. */
import type { PriorityClass as PriorityClassType } from 'kubernetes-types/scheduling/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notAllowed,
  notSupported,
  refuseInvalid,
  wrong,
  type Complaints,
} from './validation.ts'

export type PriorityClass = Stored<PriorityClassType>

/** The classes that are always there. */
export const systemPriorityClasses: readonly PriorityClass[] = [
  systemClass(
    'system-cluster-critical',
    2_000_000_000,
    'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  ),
  systemClass(
    'system-node-critical',
    2_000_001_000,
    'Used for system critical pods that must not be moved from their current node.',
  ),
]

function systemClass(name: string, value: number, description: string): PriorityClass {
  return {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name },
    value,
    description,
  }
}

const greatest = 1_000_000_000

export const PriorityClass: KindDefinition<PriorityClass> = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  plural: 'priorityclasses',
  singular: 'priorityclass',
  shortNames: ['pc'],
  namespaced: false,
  description: 'A PriorityClass names how important pods are.',
  schema: builtin<PriorityClass>('io.k8s.api.scheduling.v1.PriorityClass'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Value',
      type: 'integer',
      description: 'How important; more is more.',
      value: ({ value }) => value,
    },
    {
      name: 'Global-Default',
      type: 'boolean',
      description: 'Whether pods that name no class get it.',
      value: ({ globalDefault = false }) => globalDefault,
    },
    ageColumn,
    {
      name: 'PreemptionPolicy',
      type: 'string',
      description: 'Whether its pods may push others out.',
      value: ({ preemptionPolicy = '' }) => preemptionPolicy,
    },
  ],
  admit(given, context) {
    const filled = fill(given, { preemptionPolicy: 'PreemptLowerPriority' })
    const others = filled.globalDefault ? context.list(PriorityClass, '') : []
    return refuseInvalid(PriorityClass, filled, problems(filled, context.old, others))
  },
}

function* problems(
  { metadata, value, globalDefault, preemptionPolicy }: PriorityClass,
  old: PriorityClass | undefined,
  others: readonly PriorityClass[],
): Complaints {
  const { name } = metadata
  if (name.startsWith('system-')) {
    const known = systemPriorityClasses.find((each) => each.metadata.name === name)
    if (known?.value !== value || globalDefault)
      yield wrong(
        'metadata.name',
        name,
        "priority class names with 'system-' prefix are reserved for system use only",
      )
  } else if (value > greatest)
    yield notAllowed('value', `maximum allowed value of a user defined priority is ${greatest}`)
  const policies = ['Never', 'PreemptLowerPriority']
  if (!policies.includes(preemptionPolicy ?? ''))
    yield notSupported('preemptionPolicy', preemptionPolicy, policies)
  if (old && old.value !== value) yield notAllowed('value', 'may not be changed in an update.')
  if (old && (old.preemptionPolicy ?? policies[1]) !== preemptionPolicy)
    yield notAllowed('preemptionPolicy', 'may not be changed in an update.')
  const other = others.find((each) => each.globalDefault && each.metadata.name !== name)
  if (globalDefault && other)
    yield notAllowed(
      'globalDefault',
      `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`,
    )
}

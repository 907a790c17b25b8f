/**
 * NetworkPolicy: who may talk to some pods (networking.k8s.io/v1). Kept for the charts that bring it; whoever makes one
 * is told that it keeps nobody out.
 */
import type { NetworkPolicy as NetworkPolicyType } from 'kubernetes-types/networking/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { labelSelectorProblems } from './label-selector-problems.ts'
import { builtin } from './schema.ts'
import { selectorText } from './selectors.ts'
import type { Stored } from './stored.ts'
import { notSupported, refuseInvalid, type Complaints } from './validation.ts'

export type NetworkPolicy = Stored<NetworkPolicyType>

export const NetworkPolicy: KindDefinition<NetworkPolicy> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  shortNames: ['netpol'],
  namespaced: true,
  description: 'A NetworkPolicy says who may talk to some pods.',
  schema: builtin<NetworkPolicy>('io.k8s.api.networking.v1.NetworkPolicy'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Pod-Selector',
      type: 'string',
      description: 'The pods that it is about.',
      value: ({ spec }) => selectorText(spec?.podSelector ?? {}) || '<none>',
    },
    ageColumn,
  ],
  admit(given, context) {
    const { spec } = given
    const types = spec?.policyTypes ?? (spec?.egress ? ['Ingress', 'Egress'] : ['Ingress'])
    refuseInvalid(NetworkPolicy, given, problems(given))
    if (context.operation === 'CREATE')
      context.warn('NetworkPolicy objects are kept, but not enforced here: they keep nobody out')
    return spec ? { ...given, spec: { ...spec, policyTypes: types } } : given
  },
}

function* problems({ spec }: NetworkPolicy): Complaints {
  yield* labelSelectorProblems('spec.podSelector', spec?.podSelector)
  for (const [i, type] of (spec?.policyTypes ?? []).entries())
    if (type !== 'Ingress' && type !== 'Egress')
      yield notSupported(`spec.policyTypes[${i}]`, type, ['Egress', 'Ingress'])
}

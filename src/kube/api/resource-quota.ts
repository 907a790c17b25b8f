/** ResourceQuota: how much a namespace may have of what (v1). Enforced where objects are admitted. */
import type { ResourceQuota as ResourceQuotaType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import { changed } from './container.ts'
import type { Column, KindDefinition } from './kind.ts'
import { canonicalQuantity, compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { notSupported, refuseInvalid, wrong, type Complaints } from './validation.ts'

export type ResourceQuota = Stored<ResourceQuotaType>
type Amounts = Readonly<Record<string, string>>

/** `name: used/hard` of the resources for which `wanted` holds, sorted. */
const usageCell = (
  name: string,
  description: string,
  wanted: (resource: string) => boolean,
): Column<ResourceQuota> => ({
  name,
  type: 'string',
  description,
  value({ status }) {
    const hard = status?.hard ?? {}
    return Object.keys(hard)
      .filter(wanted)
      .toSorted()
      .map((resource) => `${resource}: ${status?.used?.[resource] ?? '0'}/${hard[resource]}`)
      .join(', ')
  },
})

const isLimit = (resource: string) => resource.startsWith('limits')

export const ResourceQuota: KindDefinition<ResourceQuota> = {
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  singular: 'resourcequota',
  shortNames: ['quota'],
  namespaced: true,
  description:
    'A ResourceQuota says how much a namespace may have: of objects, processor, memory, storage.',
  schema: builtin<ResourceQuota>('io.k8s.api.core.v1.ResourceQuota'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  columns: [
    nameColumn,
    usageCell('Request', 'What is used, of what may be.', (resource) => !isLimit(resource)),
    usageCell('Limit', 'Limits that are used, of those that may be.', isLimit),
    ageColumn,
  ],
  admit(quota, { subresource }) {
    if (subresource === 'status') return quota
    const hard = quota.spec?.hard
    const defaulted = hard
      ? changed(quota, { spec: { ...quota.spec, hard: canonicalAmounts(hard) } })
      : quota
    return refuseInvalid(ResourceQuota, defaulted, problems(defaulted))
  },
}

const canonicalAmounts = (amounts: Amounts): Amounts =>
  Object.fromEntries(
    Object.entries(amounts).map(([name, amount]) => [name, canonicalQuantity(amount)]),
  )

const scopes = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
]
const scopedResource =
  /^(pods|cpu|memory|ephemeral-storage|(requests|limits)\.(cpu|memory|ephemeral-storage))$/

function* problems({ spec = {} }: ResourceQuota): Complaints {
  for (const [name, amount] of Object.entries(spec.hard ?? {})) {
    const at = `spec.hard[${name}]`
    if (!/^([a-zA-Z0-9._-]+\/)?[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(name))
      yield wrong(at, name, 'must be a standard resource for quota')
    else if (!/[./]/.test(name) && !plain.has(name))
      yield wrong(at, name, 'must be a standard resource for quota')
    if (compareQuantities(amount, '0') < 0)
      yield wrong(at, amount, 'must be greater than or equal to 0')
  }
  const selected = (spec.scopeSelector?.matchExpressions ?? []).map(({ scopeName }) => scopeName)
  for (const [i, scope] of (spec.scopes ?? []).entries())
    if (!scopes.includes(scope)) yield notSupported(`spec.scopes[${i}]`, scope, scopes)
  if ([...(spec.scopes ?? []), ...selected].length > 0)
    for (const name of Object.keys(spec.hard ?? {}))
      if (!scopedResource.test(name))
        yield wrong('spec.scopes', spec.scopes ?? selected, `unsupported scope applied to resource`)
}

const plain = new Set([
  'cpu',
  'memory',
  'ephemeral-storage',
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'persistentvolumeclaims',
  'configmaps',
])

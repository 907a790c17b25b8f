/**
 * What an object counts for in ResourceQuotas: itself, and for pods and claims what they ask for (upstream:
 * pkg/quota/v1/evaluator/core). Admission and the controller that keeps a quota's status count alike.
 */
import { groupKind } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { PersistentVolumeClaim } from './persistent-volume-claim.ts'
import { Pod } from './pod.ts'
import { compareQuantities, sumQuantities } from './quantity.ts'
import type { ResourceQuota } from './resource-quota.ts'
import { Service } from './service.ts'
import { qualifiedResource } from './status-error.ts'

export type Amounts = Readonly<Record<string, string>>

interface NamedKind {
  readonly group: string
  readonly kind: string
  readonly plural: string
}

/** Counted under their own name as well as `count/<name>`. */
const plainNames = new Set([
  'configmaps',
  'persistentvolumeclaims',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
])

/** What `object` uses, by the names that quotas know. Zero amounts are left out. */
export function usageOf(kind: NamedKind, object: KubeObject): Amounts {
  const usage: Record<string, string> = { [`count/${qualifiedResource(kind)}`]: '1' }
  if (kind.group === '' && plainNames.has(kind.plural)) usage[kind.plural] = '1'
  switch (groupKind(kind)) {
    case 'Pod':
      return { ...usage, ...podUsage(object as Pod) }
    case 'PersistentVolumeClaim':
      return { ...usage, ...claimUsage(object as PersistentVolumeClaim) }
    case 'Service':
      return { ...usage, ...serviceUsage(object as Service) }
    default:
      return usage
  }
}

/** A pod that has ended uses nothing but its own place in `count/pods`. */
export const hasEnded = ({ status }: Pod): boolean =>
  status?.phase === 'Succeeded' || status?.phase === 'Failed'

const computed = ['cpu', 'memory', 'ephemeral-storage']

function podUsage(pod: Pod): Amounts {
  if (hasEnded(pod)) return {}
  const usage: Record<string, string> = { pods: '1' }
  for (const [name, amount] of Object.entries(podResources(pod, 'requests'))) {
    usage[`requests.${name}`] = amount
    if (computed.includes(name)) usage[name] = amount
  }
  for (const [name, amount] of Object.entries(podResources(pod, 'limits')))
    usage[`limits.${name}`] = amount
  return usage
}

/** What a pod asks for, or is limited to, altogether: its containers, or its hungriest init container if that is more. */
export function podResources({ spec }: Pod, what: 'requests' | 'limits'): Amounts {
  const of = (container: Pod['spec']['containers'][number]): Amounts =>
    container.resources?.[what] ?? {}
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy)
  const beside = [...spec.containers, ...sidecars]
  const total: Record<string, string> = {}
  for (const name of new Set(beside.flatMap((each) => Object.keys(of(each)))))
    total[name] = sumQuantities(beside.map((each) => of(each)[name] ?? '0'))
  for (const init of spec.initContainers ?? [])
    for (const [name, amount] of Object.entries(of(init)))
      if (compareQuantities(amount, total[name] ?? '0') > 0) total[name] = amount
  if (what === 'limits' && Object.keys(total).length === 0) return total
  for (const [name, amount] of Object.entries(spec.overhead ?? {}))
    total[name] = sumQuantities([total[name] ?? '0', amount])
  return total
}

function claimUsage({ spec }: PersistentVolumeClaim): Amounts {
  const storage = spec?.resources?.requests?.['storage'] ?? '0'
  const name = spec?.storageClassName
  const prefix = `${name}.storageclass.storage.k8s.io/`
  return {
    'requests.storage': storage,
    ...(name && {
      [`${prefix}requests.storage`]: storage,
      [`${prefix}persistentvolumeclaims`]: '1',
    }),
  }
}

function serviceUsage({ spec }: Service): Amounts {
  const ports = spec?.ports?.length ?? 0
  if (spec?.type === 'NodePort') return { 'services.nodeports': String(ports) }
  if (spec?.type !== 'LoadBalancer') return {}
  const nodePorts = spec.allocateLoadBalancerNodePorts === false ? 0 : ports
  return { 'services.loadbalancers': '1', 'services.nodeports': String(nodePorts) }
}

/** Whether a quota counts the object: its scopes speak of pods only. */
export function isCounted(quota: ResourceQuota, kind: NamedKind, object: KubeObject): boolean {
  const { scopes = [], scopeSelector } = quota.spec ?? {}
  const selected = scopeSelector?.matchExpressions ?? []
  if (scopes.length + selected.length === 0) return true
  if (groupKind(kind) !== 'Pod') return false
  const pod = object as Pod
  return (
    scopes.every((scope) => hasScope(pod, scope)) &&
    selected.every(({ scopeName, operator, values = [] }) => {
      if (scopeName !== 'PriorityClass')
        return hasScope(pod, scopeName) === (operator !== 'DoesNotExist')
      const name = pod.spec.priorityClassName ?? ''
      if (operator === 'In') return values.includes(name)
      if (operator === 'NotIn') return !values.includes(name)
      return (name !== '') === (operator === 'Exists')
    })
  )
}

function hasScope(pod: Pod, scope: string): boolean {
  const ends = pod.spec.activeDeadlineSeconds !== undefined
  const bestEffort = !pod.spec.containers.some(
    ({ resources }) =>
      resources?.limits?.['cpu'] ??
      resources?.limits?.['memory'] ??
      resources?.requests?.['cpu'] ??
      resources?.requests?.['memory'],
  )
  switch (scope) {
    case 'Terminating':
      return ends
    case 'NotTerminating':
      return !ends
    case 'BestEffort':
      return bestEffort
    case 'NotBestEffort':
      return !bestEffort
    case 'PriorityClass':
      return Boolean(pod.spec.priorityClassName)
    default:
      return false
  }
}

/** Amounts added up, of the resources in `names`. */
export const sumUsage = (names: Iterable<string>, usages: readonly Amounts[]): Amounts =>
  Object.fromEntries(
    [...names].map((name) => [name, sumQuantities(usages.map((usage) => usage[name] ?? '0'))]),
  )

/** Kinds whose objects bear on a quota that limits `resource`; undefined when anything may. */
export function isAbout(resource: string, kind: NamedKind): boolean {
  if (resource.startsWith('count/')) return resource === `count/${qualifiedResource(kind)}`
  if (kind.group !== '') return false
  if (resource === kind.plural) return true
  switch (kind.kind) {
    case 'Pod':
      return (
        computed.includes(resource) ||
        (/^(requests|limits)\./.test(resource) && resource !== 'requests.storage')
      )
    case 'PersistentVolumeClaim':
      return resource === 'requests.storage' || resource.includes('.storageclass.storage.k8s.io/')
    case 'Service':
      return resource.startsWith('services.')
    default:
      return false
  }
}

/**
 * Refuses what would exceed a ResourceQuota of its namespace, in Kubernetes' words. What is used is counted from the
 * store at this very moment, in the same synchronous step as the write, so two creates can't both have the last place.
 */
import { groupKind } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { Pod } from '../../api/pod.ts'
import { compareQuantities, sumQuantities } from '../../api/quantity.ts'
import { isAbout, isCounted, sumUsage, usageOf, type Amounts } from '../../api/quota-usage.ts'
import { ResourceQuota } from '../../api/resource-quota.ts'
import { forbidden } from '../../api/status-error.ts'
import type { Target } from '../machinery.ts'
import { storePrefix } from '../registry.ts'

/** Throws Forbidden when `object`, new or in place of `old`, is more than a quota allows. */
export function enforceQuota(target: Target, object: KubeObject, old?: KubeObject): void {
  const { kind, machinery, subresource } = target
  if (!kind.namespaced || subresource !== '') return
  const namespace = object.metadata.namespace ?? target.namespace
  const quotas = machinery.store.list(storePrefix(ResourceQuota, namespace)).items
  if (quotas.length === 0) return
  let all: readonly KubeObject[] | undefined
  for (const stored of quotas) {
    const quota = stored as ResourceQuota
    const hard = quota.spec?.hard ?? {}
    const names = Object.keys(hard).filter((name) => isAbout(name, kind))
    if (names.length === 0 || !isCounted(quota, kind, object)) continue
    const after = usageOf(kind, object)
    const before = old && isCounted(quota, kind, old) ? usageOf(kind, old) : {}
    if (!old && groupKind(kind) === 'Pod') requireSaid(target, quota, names, object as Pod)
    const more = names.filter(
      (name) => compareQuantities(after[name] ?? '0', before[name] ?? '0') > 0,
    )
    if (more.length === 0) continue
    all ??= machinery.store.list(storePrefix(kind, namespace)).items
    const used = sumUsage(
      more,
      all.filter((each) => isCounted(quota, kind, each)).map((each) => usageOf(kind, each)),
    )
    const requested = Object.fromEntries(
      more.map((name) => [name, difference(after[name] ?? '0', before[name])]),
    )
    const exceeded = more.filter(
      (name) =>
        compareQuantities(
          sumQuantities([used[name] ?? '0', requested[name] ?? '0']),
          hard[name] ?? '0',
        ) > 0,
    )
    if (exceeded.length > 0)
      throw forbidden(
        kind,
        object.metadata.name,
        `exceeded quota: ${quota.metadata.name}, requested: ${text(exceeded, requested)}, used: ${text(exceeded, used)}, limited: ${text(exceeded, hard)}`,
      )
  }
}

const difference = (after: string, before: string | undefined): string =>
  before === undefined
    ? after
    : sumQuantities([after, before.startsWith('-') ? before.slice(1) : `-${before}`])

const text = (names: readonly string[], amounts: Amounts): string =>
  names
    .toSorted()
    .map((name) => `${name}=${amounts[name] ?? '0'}`)
    .join(',')

/** Where a quota limits processor or memory, each container has to say how much of it. */
function requireSaid(
  { kind }: Target,
  quota: ResourceQuota,
  names: readonly string[],
  pod: Pod,
): void {
  const missing: string[] = []
  for (const name of names.toSorted()) {
    const [, what = 'requests', resource = ''] =
      /^(?:(requests|limits)\.)?(cpu|memory)$/.exec(name) ?? []
    if (resource === '') continue
    const silent = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].filter(
      ({ resources }) =>
        resources?.[what === 'limits' ? 'limits' : 'requests']?.[resource] === undefined,
    )
    if (silent.length > 0)
      missing.push(
        `${name} for: ${silent
          .map((each) => each.name)
          .toSorted()
          .join(',')}`,
      )
  }
  if (missing.length > 0)
    throw forbidden(
      kind,
      pod.metadata.name,
      `failed quota: ${quota.metadata.name}: must specify ${missing.join('; ')}`,
    )
}

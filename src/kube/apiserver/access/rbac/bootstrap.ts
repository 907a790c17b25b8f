/**
 * Puts the roles and bindings of a cluster into the store, and back into those that lost something: what is there may
 * have more, never less, unless its annotation `autoupdate` says `false`.
 */
import { rfc3339, type Clock } from '../../../../lib/clock.ts'
import type { Log } from '../../../../lib/log.ts'
import type { Random } from '../../../../lib/random.ts'
import type { KubeObject } from '../../../api/meta.ts'
import type { Binding, PolicyRule } from '../../../api/policy-rule.ts'
import type { Store, Write } from '../../../store/store.ts'
import { randomUuid } from '../../metadata.ts'
import { storeKey } from '../../registry.ts'
import { equal } from '../../values.ts'
import type { ClusterRole } from '../../../api/cluster-role.ts'
import { autoupdate, defaultPolicy, type PolicyObject } from './default-policy.ts'
import { missingRights } from './rules.ts'

export interface BootstrapOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function bootstrapPolicy(
  { store, clock, random, log }: BootstrapOptions,
  more: readonly PolicyObject[] = [],
): void {
  const creationTimestamp = rfc3339(clock.now())
  for (const wanted of [...defaultPolicy(), ...more]) {
    const { name, namespace = '' } = wanted.metadata
    const key = storeKey(wanted.resource, { namespace, name })
    const failed = (error: unknown) =>
      log.error('a default role is not written', { role: name, error })
    const done = ({ durable }: Write) => void durable.catch(failed)
    const { resource: _, ...object } = wanted
    const found = store.get(key)
    try {
      if (!found) {
        const metadata = { ...object.metadata, uid: randomUuid(random), creationTimestamp }
        done(store.put(key, { ...object, metadata }, 0))
        continue
      }
      if (found.metadata.annotations?.[autoupdate] === 'false') continue
      const next = reconciled(found, object)
      if (!equal(next, found)) done(store.put(key, next, Number(found.metadata.resourceVersion)))
    } catch (error) {
      failed(error)
    }
  }
}

/** `found` with what it lacks of `wanted`. */
function reconciled(found: KubeObject, wanted: Omit<PolicyObject, 'resource'>): KubeObject {
  const labels = { ...found.metadata.labels, ...wanted.metadata.labels }
  const annotations = { ...wanted.metadata.annotations, ...found.metadata.annotations }
  const metadata = { ...found.metadata, labels, annotations }
  if ('roleRef' in wanted) {
    const { subjects = [] } = found as Binding
    const missing = (wanted.subjects ?? []).filter(
      (each) => !subjects.some((known) => equal(known, each)),
    )
    const more = { subjects: [...subjects, ...missing] }
    return { ...found, metadata, ...(missing.length > 0 && more) }
  }
  const { rules, aggregationRule } = found as ClusterRole
  if (wanted.aggregationRule) {
    const lost = { aggregationRule: wanted.aggregationRule }
    return { ...found, metadata, ...(!aggregationRule && lost) }
  }
  const held: readonly PolicyRule[] = rules ?? []
  // As they were left, mostly.
  const missing = equal(held, wanted.rules) ? [] : missingRights(held, wanted.rules ?? [])
  const more = { rules: [...held, ...missing] }
  return { ...found, metadata, ...(missing.length > 0 && more) }
}

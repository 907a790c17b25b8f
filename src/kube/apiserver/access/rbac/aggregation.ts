/**
 * Writes into ClusterRoles that are made of others (`aggregationRule`) what they are made of, as Kubernetes' controller
 * does. Decisions do not wait for it: the index knows the union itself.
 */
import type { Log } from '../../../../lib/log.ts'
import type { KubeObject } from '../../../api/meta.ts'
import type { Store } from '../../../store/store.ts'
import { storeKey } from '../../registry.ts'
import { equal, open } from '../../values.ts'
import type { RoleIndex } from './role-index.ts'

const clusterRoles = { group: 'rbac.authorization.k8s.io', plural: 'clusterroles' }
const prefix = `${clusterRoles.plural}.${clusterRoles.group}/`

/** Follows changes until disposed; writes in the same turn of the loop, before the writer of the change is answered. */
export function aggregate(store: Store, roles: RoleIndex, log: Log): Disposable {
  let scheduled = false
  const write = (): void => {
    scheduled = false
    for (const { role, rules } of roles.aggregated()) {
      if (equal(open(role)['rules'] ?? [], rules)) continue
      const next: KubeObject & { readonly rules: unknown } = { ...role, rules }
      const key = storeKey(clusterRoles, { namespace: '', name: role.metadata.name })
      const failed = (error: unknown) =>
        log.error('the rules of a ClusterRole could not be written', {
          role: role.metadata.name,
          error,
        })
      try {
        store.put(key, next, Number(role.metadata.resourceVersion)).durable.catch(failed)
      } catch (error) {
        failed(error)
      }
    }
  }
  const subscription = store.subscribe(({ key }) => {
    if (scheduled || !key.startsWith(prefix)) return
    scheduled = true
    queueMicrotask(write)
  })
  write()
  return subscription
}

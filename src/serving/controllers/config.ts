/**
 * The config-* ConfigMaps as reconcilers see them: read from the cache on each reconcile (so an edit counts without a
 * restart), the last good value kept when a bad one slipped past admission.
 */
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Kind } from '../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../kube/api/meta.ts'
import type { Reader, Wake } from '../../kube/controller/reconciler.ts'
import type { Config } from '../../knative/config-map.ts'
import { systemNamespace } from '../api/names.ts'

/** Reads the value of a config, all defaults when its ConfigMap is missing. */
export type ReadConfig = <C>(read: Reader, config: Config<C>) => C

export function createReadConfig(): ReadConfig {
  const lastGood = new Map<string, unknown>()
  return <C>(read: Reader, config: Config<C>): C => {
    const { name } = config
    try {
      const value = config.from(read.get(ConfigMap, { namespace: systemNamespace, name }))
      lastGood.set(name, value)
      return value
    } catch {
      // Only this function writes the map, and for one name always values of one config.
      return lastGood.has(name) ? (lastGood.get(name) as C) : config.defaults
    }
  }
}

/** A watch on ConfigMaps that wakes every object of `kind` when one of these configs changes. */
export function watchConfigs(
  kind: Kind,
  ...configs: readonly { readonly name: string }[]
): { readonly kind: Kind; readonly wake: Wake } {
  const names = new Set(configs.map(({ name }) => name))
  return {
    kind: ConfigMap,
    wake: (changed, read) =>
      changed.metadata.namespace === systemNamespace && names.has(changed.metadata.name)
        ? read.list<KubeObject>(kind, '').map(keyOf)
        : [],
  }
}

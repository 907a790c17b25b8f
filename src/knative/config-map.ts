/**
 * ConfigMaps as typed configuration (knative.dev/pkg `configmap`). A config is parsed once per object: stored objects
 * are frozen and new on each change, so identity is the cache key. Who watches one keeps the last good value itself.
 */
import type { KubeObject } from '../kube/api/meta.ts'

/** What of a ConfigMap is read. */
export interface ConfigMapLike extends KubeObject {
  readonly data?: Readonly<Record<string, string>> | undefined
}

export interface ConfigDefinition<C> {
  /** Name of the ConfigMap: `config-autoscaler`. */
  readonly name: string
  /** Value of the label app.kubernetes.io/component. */
  readonly component: string
  /** Text of the key `_example`: every setting, documented. */
  readonly example: string
  /** Reads `data`; throws an Error with the text that the webhook sends. Unknown keys are ignored. */
  readonly parse: (data: Readonly<Record<string, string>>) => C
}

export interface Config<C> extends ConfigDefinition<C> {
  /** The values when nothing is configured. */
  readonly defaults: C
  /** Parses a ConfigMap (undefined = all defaults), each object once. Throws as `parse` does. */
  from(configMap: ConfigMapLike | undefined): C
}

export function defineConfig<C>(definition: ConfigDefinition<C>): Config<C> {
  const parsed = new WeakMap<object, { readonly value: C } | { readonly error: unknown }>()
  const defaults = definition.parse({})
  return {
    ...definition,
    defaults,
    from(configMap) {
      if (!configMap) return defaults
      let result = parsed.get(configMap)
      if (!result) {
        try {
          result = { value: definition.parse(configMap.data ?? {}) }
        } catch (error) {
          result = { error }
        }
        parsed.set(configMap, result)
      }
      if ('error' in result) throw result.error
      return result.value
    },
  }
}

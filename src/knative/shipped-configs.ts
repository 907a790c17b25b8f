/**
 * The ConfigMaps that a Knative product ships: objects with their `_example` and its checksum as `kubectl edit` shows them,
 * and the admission that keeps a bad value out (knative.dev/pkg `webhook/configmaps`).
 */
import type { ConfigMap } from '../kube/api/config-map.ts'
import { denied } from './admission.ts'
import type { Config, ConfigMapLike } from './config-map.ts'
import { crc32 } from './hash.ts'

export const exampleKey = '_example'
const checksumAnnotation = 'knative.dev/example-checksum'

/** The value of the checksum annotation: CRC-32 of the trimmed text with each run of line breaks written as `\n`. */
export function exampleChecksum(example: string): string {
  const text = example.trim().replace(/(\r?\n)+/g, '\\n')
  return crc32(text).toString(16).padStart(8, '0')
}

/** The object to create, `data` being what is set in it beside the example. */
export const shippedConfig = (
  { name, component, example }: Pick<Config<unknown>, 'name' | 'component' | 'example'>,
  { namespace, product }: { readonly namespace: string; readonly product: string },
  data: Readonly<Record<string, string>> = {},
): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name,
    namespace,
    labels: { 'app.kubernetes.io/name': product, 'app.kubernetes.io/component': component },
    annotations: { [checksumAnnotation]: exampleChecksum(example) },
  },
  data: { ...data, [exampleKey]: example.trimStart() },
})

/** Throws the denial of `webhook` when the ConfigMap can not be read as `config`; answers what it says. */
export function checkConfigMap<C>(
  configMap: ConfigMapLike,
  config: Pick<Config<C>, 'parse'>,
  webhook: string,
): C {
  const example = configMap.data?.[exampleKey]
  const checksum = configMap.metadata.annotations?.[checksumAnnotation]
  if (example !== undefined && checksum !== undefined && checksum !== exampleChecksum(example))
    throw denied(
      webhook,
      'validation failed',
      'the update modifies a key in "_example" which is probably not what you want. Instead, copy the respective setting to the top-level of the ConfigMap, directly below "data"',
    )
  try {
    return config.parse(configMap.data ?? {})
  } catch (error) {
    throw denied(
      webhook,
      'validation failed',
      error instanceof Error ? error.message : String(error),
    )
  }
}

/**
 * default-ch-webhook: which channel is made where none is named, for the cluster and by namespace (knative.dev/eventing
 * `messaging/config`).
 */
import { parseYaml, plainYaml } from '../../../lib/yaml.ts'
import { defineConfig } from '../../../knative/config-map.ts'
import { fieldsOf, isFields } from '../../../knative/old-form.ts'
import type { ChannelTemplate } from '../duck/channelable.ts'

export interface ChannelDefaultsConfig {
  readonly cluster: ChannelTemplate | undefined
  readonly namespaces: Readonly<Record<string, ChannelTemplate>>
}

const shipped = {
  clusterDefault: { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' },
}

export const configChannelDefaults = defineConfig<ChannelDefaultsConfig>({
  name: 'default-ch-webhook',
  component: 'eventing-controller',
  example: `
# The channel that a Channel, Sequence or Parallel is made of when it names none.
default-ch-config: |
  # For all namespaces.
${plainYaml(shipped, '  ').trimEnd()}
  # For one namespace.
  namespaceDefaults:
    some-namespace:
      apiVersion: messaging.knative.dev/v1
      kind: InMemoryChannel
`,
  parse(data) {
    const said = data['default-ch-config']
    const value = fieldsOf(said === undefined ? shipped : parseYaml(said))
    return {
      cluster: template(value['clusterDefault'], 'clusterDefault'),
      namespaces: byNamespace(value['namespaceDefaults'], 'namespaceDefaults'),
    }
  },
})

/** The same until 0.6; counts where the ConfigMap of today says nothing. */
export const configFormerChannelDefaults = defineConfig<ChannelDefaultsConfig>({
  name: 'default-channel-webhook',
  component: 'eventing-controller',
  example: '',
  parse(data) {
    const value = fieldsOf(parseYaml(data['default-channel-config'] ?? '{}'))
    return {
      cluster: template(value['clusterdefault'], 'clusterdefault'),
      namespaces: byNamespace(value['namespacedefaults'], 'namespacedefaults'),
    }
  },
})

function template(value: unknown, key: string): ChannelTemplate | undefined {
  if (value === undefined || value === null) return undefined
  const { apiVersion, kind, spec } = fieldsOf(value)
  if (typeof apiVersion !== 'string' || typeof kind !== 'string')
    throw new Error(`${key}: expected a channel with apiVersion and kind`)
  return { apiVersion, kind, ...(isFields(spec) && { spec }) }
}

function byNamespace(value: unknown, key: string): Readonly<Record<string, ChannelTemplate>> {
  return Object.fromEntries(
    Object.entries(fieldsOf(value)).flatMap(([namespace, each]) => {
      const found = template(each, `${key}.${namespace}`)
      return found ? [[namespace, found]] : []
    }),
  )
}

/** The template for a namespace. */
export const channelDefault = (
  { cluster, namespaces }: ChannelDefaultsConfig,
  namespace: string,
): ChannelTemplate | undefined => namespaces[namespace] ?? cluster

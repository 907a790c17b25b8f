/**
 * default-ch-webhook: which channel is made where none is named, for the cluster and by namespace (knative.dev/eventing
 * `messaging/config`; contract eventing §2.7, part 10).
 */
import { parseYaml, plainYaml } from '../../../lib/yaml.ts'
import { defineConfig } from '../../../knative/config-map.ts'
import type { ChannelTemplate } from '../channelable.ts'

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
    const value = Object(said === undefined ? shipped : parseYaml(said)) as {
      readonly clusterDefault?: ChannelTemplate
      readonly namespaceDefaults?: Readonly<Record<string, ChannelTemplate>>
    }
    return { cluster: value.clusterDefault, namespaces: value.namespaceDefaults ?? {} }
  },
})

/** The template for a namespace. */
export const channelDefault = (
  { cluster, namespaces }: ChannelDefaultsConfig,
  namespace: string,
): ChannelTemplate | undefined => namespaces[namespace] ?? cluster

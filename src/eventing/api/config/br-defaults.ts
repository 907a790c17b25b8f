/**
 * config-br-defaults: which class and configuration a Broker gets that names none, for the cluster and by namespace
 * (knative.dev/eventing `config/defaults.go`).
 */
import { defineConfig } from '../../../knative/config-map.ts'
import { parseYaml, plainYaml } from '../../../lib/yaml.ts'
import type { DeliverySpec } from '../duck/delivery-spec.ts'
import type { KReference } from '../duck/destination.ts'

export interface BrokerDefaults {
  readonly brokerClass?: string
  readonly config?: KReference
  readonly delivery?: DeliverySpec
}

interface Entry extends BrokerDefaults {
  /** By class. */
  readonly classes: Readonly<Record<string, BrokerDefaults>>
  readonly disallowDifferentNamespaceConfig: boolean
}

export interface BrokerDefaultsConfig {
  readonly cluster: Entry
  readonly namespaces: Readonly<Record<string, Entry>>
}

const fields = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

function reference(value: Readonly<Record<string, unknown>>): KReference | undefined {
  const ref: KReference = {
    ...(text(value['apiVersion']) !== undefined && { apiVersion: text(value['apiVersion']) ?? '' }),
    ...(text(value['kind']) !== undefined && { kind: text(value['kind']) ?? '' }),
    ...(text(value['name']) !== undefined && { name: text(value['name']) ?? '' }),
    ...(text(value['namespace']) !== undefined && { namespace: text(value['namespace']) ?? '' }),
  }
  return Object.keys(ref).length > 0 ? ref : undefined
}

function defaultsOf(value: Readonly<Record<string, unknown>>): BrokerDefaults {
  const brokerClass = text(value['brokerClass'])
  const config = reference(value)
  const delivery = value['delivery']
  return {
    ...(brokerClass !== undefined && { brokerClass }),
    ...(config && { config }),
    ...(delivery !== undefined && { delivery: fields(delivery) as DeliverySpec }),
  }
}

function entry(value: unknown): Entry {
  const all = fields(value)
  return {
    ...defaultsOf(all),
    classes: Object.fromEntries(
      Object.entries(fields(all['brokerClasses'])).map(([name, each]) => [
        name,
        defaultsOf(fields(each)),
      ]),
    ),
    disallowDifferentNamespaceConfig: all['disallowDifferentNamespaceConfig'] === true,
  }
}

/** What Knative's release says. */
const shipped = {
  clusterDefault: {
    brokerClass: 'MTChannelBasedBroker',
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: 'config-br-default-channel',
    namespace: 'knative-eventing',
    delivery: { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' },
  },
}

export const configBrDefaults = defineConfig<BrokerDefaultsConfig>({
  name: 'config-br-defaults',
  component: 'eventing-controller',
  example: `
# default-br-config: class and configuration of Brokers that say none.
default-br-config: |
  # For all namespaces.
${plainYaml(shipped, '  ').trimEnd()}
  # For one namespace.
  namespaceDefaults:
    some-namespace:
      brokerClass: MTChannelBasedBroker
      apiVersion: v1
      kind: ConfigMap
      name: config-br-default-channel
      namespace: knative-eventing
`,
  parse(data) {
    const said = data['default-br-config']
    const value = fields(said === undefined ? shipped : parseYaml(said))
    return {
      cluster: entry(value['clusterDefault']),
      namespaces: Object.fromEntries(
        Object.entries(fields(value['namespaceDefaults'])).map(([name, each]) => [
          name,
          entry(each),
        ]),
      ),
    }
  },
})

/** What a Broker in `namespace` gets that says nothing: the most specific entry. */
export function brokerDefaults(
  { cluster, namespaces }: BrokerDefaultsConfig,
  namespace: string,
  stated: string | undefined,
): BrokerDefaults & { readonly brokerClass: string } {
  const own = namespaces[namespace]
  const brokerClass = stated ?? own?.brokerClass ?? cluster.brokerClass ?? 'MTChannelBasedBroker'
  const candidates = [own?.classes[brokerClass], cluster.classes[brokerClass], own, cluster]
  // One entry, not the best of each: who says where its configuration is, says its delivery too.
  const { config, delivery } =
    candidates.find((each) => each?.config !== undefined || each?.delivery !== undefined) ?? {}
  return { brokerClass, ...(config && { config }), ...(delivery && { delivery }) }
}

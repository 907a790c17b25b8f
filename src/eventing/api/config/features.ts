/**
 * config-features of Eventing: what is switched on beyond the plain (knative.dev/eventing `pkg/apis/feature`). Read
 * live: a change holds from the next request and the next reconcile.
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import { parseIsoDuration } from '../../../lib/iso-duration.ts'

export type AuthorizationMode = 'allow-all' | 'allow-same-namespace' | 'deny-all'
export type TransportEncryption = 'disabled' | 'permissive' | 'strict'

export interface EventingFeatures {
  /** `group` instead of `apiVersion` in references. */
  readonly kreferenceGroup: boolean
  /** URLs of objects without an address, by config-kreference-mapping. */
  readonly kreferenceMapping: boolean
  readonly deliveryRetryAfter: boolean
  readonly deliveryTimeout: boolean
  /** EventTypes are made of what is seen. */
  readonly eventTypeAutoCreate: boolean
  readonly authenticationOidc: boolean
  /** `brokerRef` and `channel` may name another namespace. */
  readonly crossNamespaceEventLinks: boolean
  /** `filters` of an ApiServerSource. */
  readonly newApiServerSourceFilters: boolean
  readonly transportEncryption: TransportEncryption
  readonly defaultAuthorizationMode: AuthorizationMode
  readonly oidcDiscoveryBaseUrl: string
  /** ISO 8601. */
  readonly requestReplyDefaultTimeout: string
  /** Of the pods of ApiServerSources. */
  readonly apiServerSourceNodeSelector: Readonly<Record<string, string>>
}

const flags = {
  kreferenceGroup: ['kreference-group', false],
  kreferenceMapping: ['kreference-mapping', false],
  deliveryRetryAfter: ['delivery-retryafter', false],
  deliveryTimeout: ['delivery-timeout', true],
  eventTypeAutoCreate: ['eventtype-auto-create', false],
  authenticationOidc: ['authentication-oidc', false],
  crossNamespaceEventLinks: ['cross-namespace-event-links', false],
  newApiServerSourceFilters: ['new-apiserversource-filters', false],
} as const satisfies Record<string, readonly [key: string, fallback: boolean]>

type Flags = { readonly [F in keyof typeof flags]: boolean }
type Data = Readonly<Record<string, string>>

/** The word as it stands in the list, in whatever case it was written. */
function word<W extends string>(data: Data, key: string, words: readonly W[], fallback: W): W {
  const said = data[key]?.trim()
  if (said === undefined) return fallback
  const found = words.find((each) => each === said.toLowerCase())
  if (found === undefined)
    throw new Error(`invalid value "${said}" for key ${key}: expected one of ${words.join(', ')}`)
  return found
}

const isOn = (data: Data, key: string, fallback: boolean): boolean =>
  word(data, key, ['enabled', 'allowed', 'disabled'], fallback ? 'enabled' : 'disabled') ===
  'enabled'

const selectorPrefix = 'apiserversources-nodeselector-'

export const configEventingFeatures: Config<EventingFeatures> = defineConfig({
  name: 'config-features',
  component: 'eventing-controller',
  example: `
################################
#                              #
#    EXAMPLE CONFIGURATION     #
#                              #
################################

# This block is not used: it shows every key with its default. Copy a line to
# the level of \`_example\` to change it. Values are enabled and disabled, in
# any case, where nothing else is said.

# References may carry \`group\` instead of \`apiVersion\`.
kreference-group: "disabled"

# Objects without an address are sinks by URL templates of config-kreference-mapping.
kreference-mapping: "disabled"

# \`retryAfterMax\` in a DeliverySpec: Retry-After of answers 429 and 503 counts.
delivery-retryafter: "disabled"

# \`timeout\` in a DeliverySpec.
delivery-timeout: "enabled"

# An EventType is made for each type of event that is seen for the first time.
eventtype-auto-create: "disabled"

# Senders prove who they are with tokens, and EventPolicies say who may send.
authentication-oidc: "disabled"

# Triggers and Subscriptions may name Brokers and channels of other namespaces.
cross-namespace-event-links: "disabled"

# \`filters\` in an ApiServerSource.
new-apiserversource-filters: "disabled"

# disabled, permissive or strict.
transport-encryption: "disabled"

# Where no EventPolicy applies: allow-all, allow-same-namespace or deny-all.
default-authorization-mode: "allow-same-namespace"

# Issuer whose tokens are believed.
oidc-discovery-base-url: "https://kubernetes.default.svc"

# How long a RequestReply waits that says nothing, ISO 8601.
requestreply-default-timeout: "PT30S"

# Node selector of ApiServerSources: one key per label.
apiserversources-nodeselector-testkey: testvalue
`,
  parse(sent) {
    const data: Data = Object.fromEntries(
      Object.entries(sent).map(([key, value]) => [key.trim(), value]),
    )
    const requestReplyDefaultTimeout = data['requestreply-default-timeout']?.trim() ?? 'PT30S'
    if (!((parseIsoDuration(requestReplyDefaultTimeout) ?? 0) > 0))
      throw new Error(
        `invalid value "${requestReplyDefaultTimeout}" for key requestreply-default-timeout: expected an ISO 8601 duration, such as PT30S`,
      )
    const base = Object.fromEntries(
      Object.entries(flags).map(([name, [key, fallback]]) => [name, isOn(data, key, fallback)]),
    ) as Flags
    return {
      ...base,
      transportEncryption: word(
        data,
        'transport-encryption',
        ['disabled', 'permissive', 'strict'],
        'disabled',
      ),
      defaultAuthorizationMode: word(
        data,
        'default-authorization-mode',
        ['allow-all', 'allow-same-namespace', 'deny-all'],
        'allow-same-namespace',
      ),
      oidcDiscoveryBaseUrl: data['oidc-discovery-base-url'] ?? 'https://kubernetes.default.svc',
      requestReplyDefaultTimeout,
      apiServerSourceNodeSelector: Object.fromEntries(
        Object.entries(data)
          .filter(([key]) => key.startsWith(selectorPrefix))
          .map(([key, value]) => [key.slice(selectorPrefix.length), value]),
      ),
    }
  },
})

/** Keys that mean something; others are kept and warned of. */
export const isFeatureKey = (key: string): boolean => {
  const known: readonly string[] = [
    ...Object.values(flags).map(([each]) => each),
    'transport-encryption',
    'default-authorization-mode',
    'oidc-discovery-base-url',
    'requestreply-default-timeout',
  ]
  const name = key.trim()
  return name.startsWith('_') || known.includes(name) || name.startsWith(selectorPrefix)
}

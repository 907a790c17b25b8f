/** Groups, names, labels and annotations of Knative Eventing. */
export const eventingGroup = 'eventing.knative.dev'
export const messagingGroup = 'messaging.knative.dev'
export const flowsGroup = 'flows.knative.dev'
export const sourcesGroup = 'sources.knative.dev'
export const sinksGroup = 'sinks.knative.dev'

export const systemNamespace = 'knative-eventing'
export const clusterDomain = 'cluster.local'

/** Who refuses, as clients see it. */
export const validationWebhook = 'validation.webhook.eventing.knative.dev'
export const defaultingWebhook = 'webhook.eventing.knative.dev'

export const brokerClass = {
  /** The one Ebb serves; Knative's own name for it, as that is what people's YAML says. */
  multiTenant: 'MTChannelBasedBroker',
} as const

export const annotation = {
  brokerClass: 'eventing.knative.dev/broker.class',
  scope: 'eventing.knative.dev/scope',
  injection: 'eventing.knative.dev/injection',
  subscribable: 'messaging.knative.dev/subscribable',
  /** The same of 2019. */
  formerInjection: 'knative-eventing-injection',
  /** The channel template of a Broker that was made in an old form. */
  legacyTemplate: 'eventing.knative.dev/legacy-channel-template',
  /** On a Broker that was made in a version of then: it keeps its address of then. */
  legacyAddress: 'eventing.knative.dev/legacy-address',
  /** On an object of today that somebody applied over the one that was made for an old one: the old one's kind. */
  supersedes: 'eventing.knative.dev/supersedes',
  dependency: 'knative.dev/dependency',
  channelAddress: 'knative.dev/channelAddress',
  channelKind: 'knative.dev/channelKind',
  channelApiVersion: 'knative.dev/channelAPIVersion',
  channelName: 'knative.dev/channelName',
  order: 'kafka.eventing.knative.dev/delivery.order',
} as const

export const label = {
  broker: 'eventing.knative.dev/broker',
  trigger: 'eventing.knative.dev/trigger',
  brokerEverything: 'eventing.knative.dev/brokerEverything',
  injected: 'eventing.knative.dev/injected',
  injection: 'eventing.knative.dev/injection',
  /** The same of 2019. */
  formerInjection: 'knative-eventing-injection',
  role: 'messaging.knative.dev/role',
} as const

/** On the Service of an EventTransform: its name leads to the event engine. */
export const transformLabel = 'eventing.knative.dev/event-transform-jsonata'

/** Labels that definitions of kinds carry, for tools that look for kinds of a sort. */
const ofEventing = {
  'knative.dev/crd-install': 'true',
  'app.kubernetes.io/name': 'knative-eventing',
}
const addressable = { ...ofEventing, 'duck.knative.dev/addressable': 'true' }
const source = {
  ...ofEventing,
  'eventing.knative.dev/source': 'true',
  'duck.knative.dev/source': 'true',
}
export const definitionLabels = {
  plain: ofEventing,
  addressable,
  channel: { ...addressable, 'messaging.knative.dev/subscribable': 'true' },
  source,
  binding: { ...source, 'duck.knative.dev/binding': 'true' },
} as const

/** As clients may write it: `a.b.svc.cluster.local`, `a.b.svc` and `a.b`. */
export const hostNames = (host: string): readonly string[] => [
  host,
  host.replace(`.${clusterDomain}`, ''),
  host.replace(/\.svc\..*$/, ''),
]

/** Where all RequestReplies are. */
export const requestReplyHost = `request-reply.${systemNamespace}.svc.${clusterDomain}`

/** Where all Brokers are. */
export const brokerIngressHost = `broker-ingress.${systemNamespace}.svc.${clusterDomain}`

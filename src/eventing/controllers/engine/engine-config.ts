/**
 * The whole configuration of the event engine, from the objects as they are: a log for each Broker and InMemoryChannel,
 * a subscription for each Trigger and subscriber. Pure; recomputed when anything changes, as there are few of them.
 */
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { childName } from '../../../knative/child-name.ts'
import { featuresIn, readConfig } from '../../api/config/read.ts'
import { configEventingObservability } from '../../api/config/system.ts'
import {
  brokerClass,
  brokerIngressHost,
  annotation,
  clusterDomain,
  hostNames,
  label,
  requestReplyHost,
} from '../../api/names.ts'
import { Broker, classOf } from '../../api/eventing/broker.ts'
import type { SubscriberSpec } from '../../api/duck/channelable.ts'
import { EventTransform } from '../../api/eventing/event-transform.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import {
  formerChannelHost,
  formerChannelRole,
  formerChannelService,
} from '../../api/former/buses.ts'
import { CronJobSource } from '../../api/former/former-sources.ts'
import { PingSource } from '../../api/sources/ping-source.ts'
import { RequestReply } from '../../api/eventing/request-reply.ts'
import { retentionOf } from '../../api/duck/retention.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { brokerNamespaceOf, brokerOf, Trigger } from '../../api/eventing/trigger.ts'
import type {
  ChannelConfig,
  Destination,
  EngineConfig,
  SubscriptionConfig,
  TokenIssuer,
} from '../../broker/feed.ts'
import { formerHosts, hasFormerAddress } from '../eventing/former-broker.ts'
import { deliveryPolicy } from './delivery-policy.ts'
import { hasPlace } from './log-place.ts'
import { dialOf, type DialWorld, type ToDestination } from '../destination/dial.ts'
import { dispatcherHost } from '../transport/server-secrets.ts'
import { trustBundle } from '../transport/trust-bundle.ts'
import { gateIn } from '../authorization/gate.ts'
import { accountText } from '../identity/senders.ts'
import { transformConfig } from '../eventing/event-transform.ts'
import { askedKeys } from '../eventing/request-reply/asked-keys.ts'
import { awaitedIn, requestReplyConfig } from '../eventing/request-reply/request-reply.ts'
import { cronPingOf, pingConfig, pingOf } from '../sources/ping-source/ping-config.ts'

/** Name of the Service whose host is a channel's address. */
export const channelServiceName = (channel: string): string => childName(channel, '-kn-channel')

export const channelHost = (namespace: string, channel: string): string =>
  `${channelServiceName(channel)}.${namespace}.svc.${clusterDomain}`

export const isServed = (broker: Broker): boolean =>
  classOf(broker) === brokerClass.multiTenant && !broker.metadata.deletionTimestamp

/** Whose tokens are believed that the document at this URL tells of. */
type IssuerAt = (baseUrl: string) => TokenIssuer | undefined

export function engineConfig(
  read: Reader,
  world: DialWorld,
  issuerAt: IssuerAt = () => undefined,
): EngineConfig {
  const {
    authenticationOidc: identified,
    oidcDiscoveryBaseUrl,
    transportEncryption,
  } = featuresIn(read)
  const trusted = trustBundle(read)
  const issuer = identified ? issuerAt(oidcDiscoveryBaseUrl) : undefined
  const to: ToDestination = (url, caCerts, audience, account) => {
    if (!url) return undefined
    const dial = dialOf(url, read, world)
    return {
      url,
      ...(dial && { dial }),
      ...(caCerts && { caCerts }),
      ...(audience && { audience }),
      ...(account && audience && identified && { account }),
    }
  }
  const triggers = Map.groupBy(
    read.list(Trigger, '').filter(({ metadata }) => !metadata.deletionTimestamp),
    (trigger) => `${brokerNamespaceOf(trigger)}/${brokerOf(trigger)}`,
  )
  const brokers = read
    .list(Broker, '')
    .filter(isServed)
    .map((broker): ChannelConfig => {
      const { metadata, spec } = broker
      const { uid = '', namespace = '', name } = metadata
      const awaited = awaitedIn(broker, read)
      const address = broker.status?.address?.url
      return {
        uid,
        kind: 'Broker',
        namespace,
        name,
        ...(address !== undefined && { address }),
        ...(hasFormerAddress(namespace, name, read) && { hosts: formerHosts(namespace, name) }),
        ...gateIn(Broker, broker, read),
        retention: retentionOf(metadata),
        subscriptions: (triggers.get(`${namespace}/${name}`) ?? [])
          .filter((trigger) => trigger.status?.subscriberUri || hasPlace(trigger))
          .map((trigger) => waiting(triggerConfig(trigger, spec.delivery, to, read), identified))
          .map((each) => (awaited ? { ...each, awaited } : each)),
      }
    })
  const made = new Map(
    read.list(Subscription, '').map(({ metadata }) => [metadata.uid ?? '', metadata]),
  )
  const channels = read
    .list(InMemoryChannel, '')
    .filter(({ metadata }) => !metadata.deletionTimestamp)
    .map((channel): ChannelConfig => {
      const { metadata, spec } = channel
      const { uid = '', namespace = '', name } = metadata
      const host = channelHost(namespace, name)
      return {
        uid,
        kind: 'Channel',
        namespace,
        name,
        hosts: [...hostNames(host), ...formerHostsOf(namespace, name, read)],
        ...gateIn(InMemoryChannel, channel, read),
        retention: retentionOf(metadata),
        places: [`${dispatcherHost}/${namespace}/${name}`],
        subscriptions: (spec.subscribers ?? []).map((each) =>
          waiting(subscriberConfig(each, namespace, to, made.get(each.uid ?? '')), identified),
        ),
      }
    })
  return {
    brokerHosts: hostNames(brokerIngressHost),
    ...(issuer && { issuer }),
    ...(transportEncryption !== 'disabled' && { transport: transportEncryption }),
    ...(trusted !== undefined && { trusted }),
    ...tracingIn(read),
    channels: [...brokers, ...channels],
    pings: [
      ...read.list(PingSource, '').map((source) => pingConfig(source, pingOf(source), to)),
      ...read.list(CronJobSource, '').map((source) => pingConfig(source, cronPingOf(source), to)),
    ].filter((each) => each !== undefined),
    transforms: read
      .list(EventTransform, '')
      .map((transform) => transformConfig(transform, to, gateIn(EventTransform, transform, read)))
      .filter((each) => each !== undefined),
    requestReplyHosts: hostNames(requestReplyHost),
    requestReplies: read
      .list(RequestReply, '')
      .map((each) => requestReplyConfig(each, read, to))
      .filter((each) => each !== undefined),
  }
}

/** A channel of 2018 answered to another name, which is that channel's and nobody else's. */
function formerHostsOf(namespace: string, channel: string, read: Reader): readonly string[] {
  const service = read.get(CoreService, { namespace, name: formerChannelService(channel) })
  return service?.metadata.labels?.[label.role] === formerChannelRole
    ? hostNames(formerChannelHost(namespace, channel))
    : []
}

/** An endpoint is needed but for stdout; what is half said traces nothing. */
function tracingIn(read: Reader): Pick<EngineConfig, 'tracing'> {
  const { tracingProtocol, tracingEndpoint, tracingSamplingRate } = readConfig(
    configEventingObservability,
    read,
  )
  if (tracingProtocol === 'none') return {}
  if (tracingProtocol !== 'stdout' && tracingEndpoint === '') return {}
  const tracing = { protocol: tracingProtocol, endpoint: tracingEndpoint }
  return { tracing: { ...tracing, samplingRate: tracingSamplingRate } }
}

/** Events wait for the account they are sent as, rather than be refused without a token. */
function waiting(config: SubscriptionConfig, identified: boolean): SubscriptionConfig {
  const { subscriber, reply, deadLetter } = config
  const isUnknown = (to: Destination | 'channel' | undefined) =>
    to !== undefined && to !== 'channel' && to.audience !== undefined && to.account === undefined
  if (!identified || ![subscriber, reply, deadLetter].some(isUnknown)) return config
  const { subscriber: _, ...rest } = config
  return rest
}

function triggerConfig(
  { metadata, spec, status }: Trigger,
  brokerDelivery: Broker['spec']['delivery'],
  to: ToDestination,
  read: Reader,
): SubscriptionConfig {
  const { uid = '', namespace = '', name, annotations } = metadata
  const account = accountText(namespace, status?.auth)
  const subscriber = to(
    status?.subscriberUri,
    status?.subscriberCACerts,
    status?.subscriberAudience,
    account,
  )
  const deadLetter = to(
    status?.deadLetterSinkUri,
    status?.deadLetterSinkCACerts,
    status?.deadLetterSinkAudience,
    account,
  )
  const correlationKeys = askedKeys(spec.filters ?? [], read)
  return {
    uid,
    kind: 'Trigger',
    namespace,
    name,
    filter: {
      ...(spec.filter && { filter: spec.filter }),
      ...(spec.filters && { filters: spec.filters }),
      ...(Object.keys(correlationKeys).length > 0 && { correlationKeys }),
    },
    ...(subscriber && { subscriber }),
    reply: 'channel',
    ...(deadLetter && { deadLetter }),
    // Whole or not at all: a Trigger that says anything about delivery says all of it.
    delivery: deliveryPolicy(spec.delivery ?? brokerDelivery),
    ...(annotations?.[annotation.order] === 'ordered' && { order: 'ordered' as const }),
    ...created(metadata),
  }
}

/** Of an object; its time is that of whole seconds. */
const created = ({ creationTimestamp }: Trigger['metadata']): { readonly createdMs?: number } =>
  creationTimestamp === undefined ? {} : { createdMs: Date.parse(creationTimestamp) }

function subscriberConfig(
  each: SubscriberSpec,
  namespace: string,
  to: ToDestination,
  metadata: Trigger['metadata'] | undefined,
): SubscriptionConfig {
  const { uid = '', name = '', delivery } = each
  const account = accountText(metadata?.namespace ?? namespace, each.auth)
  const subscriber = to(
    each.subscriberUri,
    each.subscriberCACerts,
    each.subscriberAudience,
    account,
  )
  const reply = to(each.replyUri, each.replyCACerts, each.replyAudience, account)
  const { uri, CACerts, audience } = delivery?.deadLetterSink ?? {}
  const deadLetter = to(uri, CACerts, audience, account)
  return {
    uid,
    kind: 'Subscription',
    namespace,
    name,
    ...(subscriber && { subscriber }),
    ...(reply && { reply }),
    ...(deadLetter && { deadLetter }),
    delivery: deliveryPolicy(delivery),
    ...(metadata && created(metadata)),
  }
}

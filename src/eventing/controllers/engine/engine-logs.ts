/**
 * The logs that the event engine keeps, from the objects as they are: one for each Broker and InMemoryChannel, with a
 * subscription for each Trigger and subscriber. Pure.
 */
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import { annotation, brokerClass, hostNames, label } from '../../api/names.ts'
import { Broker, classOf } from '../../api/eventing/broker.ts'
import type { SubscriberSpec } from '../../api/duck/channelable.ts'
import { channelHost, InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import {
  formerChannelHost,
  formerChannelRole,
  formerChannelService,
} from '../../api/former/buses.ts'
import { retentionOf } from '../../api/duck/retention.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { brokerNamespaceOf, brokerOf, Trigger } from '../../api/eventing/trigger.ts'
import type { ChannelConfig, Destination, SubscriptionConfig } from '../../broker/feed.ts'
import { formerHosts, hasFormerAddress } from '../eventing/former-broker.ts'
import { deliveryPolicy } from './delivery-policy.ts'
import { hasPlace } from './log-place.ts'
import type { ToDestination } from '../destination/dial.ts'
import { dispatcherHost } from '../transport/server-secrets.ts'
import { gateIn } from '../authorization/gate.ts'
import { accountText } from '../identity/senders.ts'
import { askedKeys } from '../eventing/request-reply/asked-keys.ts'
import { awaitedIn } from '../eventing/request-reply/request-reply.ts'

const isServed = (broker: Broker): boolean =>
  classOf(broker) === brokerClass.multiTenant && !broker.metadata.deletionTimestamp

/** `identified`: events are sent with tokens, and wait for the account that gets them. */
export function brokerLogs(
  read: Reader,
  to: ToDestination,
  identified: boolean,
): readonly ChannelConfig[] {
  const triggers = Map.groupBy(
    read.list(Trigger, '').filter(({ metadata }) => !metadata.deletionTimestamp),
    (trigger) => `${brokerNamespaceOf(trigger)}/${brokerOf(trigger)}`,
  )
  return read
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
}

/** As `brokerLogs`. */
export function channelLogs(
  read: Reader,
  to: ToDestination,
  identified: boolean,
): readonly ChannelConfig[] {
  const made = new Map(
    read.list(Subscription, '').map(({ metadata }) => [metadata.uid ?? '', metadata]),
  )
  return read
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
}

/** A channel of 2018 answered to another name, which is that channel's and nobody else's. */
function formerHostsOf(namespace: string, channel: string, read: Reader): readonly string[] {
  const service = read.get(CoreService, { namespace, name: formerChannelService(channel) })
  return service?.metadata.labels?.[label.role] === formerChannelRole
    ? hostNames(formerChannelHost(namespace, channel))
    : []
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

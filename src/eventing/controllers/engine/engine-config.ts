/**
 * The whole configuration of the event engine, from the objects as they are: a log for each Broker and InMemoryChannel,
 * a subscription for each Trigger and subscriber. Pure; recomputed when anything changes, as there are few of them.
 */
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { brokerClass, brokerIngressHost, annotation, clusterDomain } from '../../api/names.ts'
import { Broker, classOf } from '../../api/broker.ts'
import type { SubscriberSpec } from '../../api/channelable.ts'
import { EventTransform } from '../../api/event-transform.ts'
import { InMemoryChannel } from '../../api/in-memory-channel.ts'
import { CronJobSource } from '../../api/former-sources.ts'
import { PingSource } from '../../api/ping-source.ts'
import { brokerNamespaceOf, brokerOf, Trigger } from '../../api/trigger.ts'
import type {
  ChannelConfig,
  Destination,
  EngineConfig,
  SubscriptionConfig,
} from '../../broker/feed.ts'
import { formerHosts, hasFormerAddress } from '../broker/former-broker.ts'
import { deliveryPolicy } from '../delivery-policy.ts'
import { dialOf, type DialWorld } from '../dial.ts'
import { transformConfig } from '../event-transform/event-transform.ts'
import { cronPingOf, pingConfig, pingOf } from '../ping-source/ping-config.ts'

/** Name of the Service whose host is a channel's address. */
export const channelServiceName = (channel: string): string => `${channel}-kn-channel`

export const channelHost = (namespace: string, channel: string): string =>
  `${channelServiceName(channel)}.${namespace}.svc.${clusterDomain}`

export const isServed = (broker: Broker): boolean =>
  classOf(broker) === brokerClass.multiTenant && !broker.metadata.deletionTimestamp

export function engineConfig(read: Reader, world: DialWorld): EngineConfig {
  const to = (
    url: string | undefined,
    caCerts?: string,
    audience?: string,
  ): Destination | undefined => {
    if (!url) return undefined
    const dial = dialOf(url, read, world)
    return {
      url,
      ...(dial && { dial }),
      ...(caCerts && { caCerts }),
      ...(audience && { audience }),
    }
  }
  const triggers = Map.groupBy(
    read.list(Trigger, '').filter(({ metadata }) => !metadata.deletionTimestamp),
    (trigger) => `${brokerNamespaceOf(trigger)}/${brokerOf(trigger)}`,
  )
  const brokers = read
    .list(Broker, '')
    .filter(isServed)
    .map(({ metadata, spec }): ChannelConfig => {
      const { uid = '', namespace = '', name } = metadata
      return {
        uid,
        kind: 'Broker',
        namespace,
        name,
        ...(hasFormerAddress(namespace, name, read) && { hosts: formerHosts(namespace, name) }),
        subscriptions: (triggers.get(`${namespace}/${name}`) ?? [])
          .filter(({ status }) => status?.subscriberUri)
          .map((trigger) => triggerConfig(trigger, spec.delivery, to)),
      }
    })
  const channels = read
    .list(InMemoryChannel, '')
    .filter(({ metadata }) => !metadata.deletionTimestamp)
    .map(({ metadata, spec }): ChannelConfig => {
      const { uid = '', namespace = '', name } = metadata
      const host = channelHost(namespace, name)
      return {
        uid,
        kind: 'Channel',
        namespace,
        name,
        hosts: [host, host.replace(`.${clusterDomain}`, ''), host.replace(/\.svc\..*$/, '')],
        subscriptions: (spec.subscribers ?? []).map((each) =>
          subscriberConfig(each, namespace, to),
        ),
      }
    })
  return {
    brokerHosts: [brokerIngressHost, ...shorter(brokerIngressHost)],
    channels: [...brokers, ...channels],
    pings: [
      ...read.list(PingSource, '').map((source) => pingConfig(source, pingOf(source), to)),
      ...read.list(CronJobSource, '').map((source) => pingConfig(source, cronPingOf(source), to)),
    ].filter((each) => each !== undefined),
    transforms: read
      .list(EventTransform, '')
      .map((transform) => transformConfig(transform, to))
      .filter((each) => each !== undefined),
  }
}

type ToDestination = (
  url: string | undefined,
  caCerts?: string,
  audience?: string,
) => Destination | undefined

function triggerConfig(
  { metadata, spec, status }: Trigger,
  brokerDelivery: Broker['spec']['delivery'],
  to: ToDestination,
): SubscriptionConfig {
  const { uid = '', namespace = '', name, annotations } = metadata
  const subscriber = to(
    status?.subscriberUri,
    status?.subscriberCACerts,
    status?.subscriberAudience,
  )
  const deadLetter = to(
    status?.deadLetterSinkUri,
    status?.deadLetterSinkCACerts,
    status?.deadLetterSinkAudience,
  )
  return {
    uid,
    kind: 'Trigger',
    namespace,
    name,
    filter: {
      ...(spec.filter && { filter: spec.filter }),
      ...(spec.filters && { filters: spec.filters }),
    },
    ...(subscriber && { subscriber }),
    reply: 'channel',
    ...(deadLetter && { deadLetter }),
    // Whole or not at all: a Trigger that says anything about delivery says all of it.
    delivery: deliveryPolicy(spec.delivery ?? brokerDelivery),
    ...(annotations?.[annotation.order] === 'ordered' && { order: 'ordered' as const }),
  }
}

function subscriberConfig(
  each: SubscriberSpec,
  namespace: string,
  to: ToDestination,
): SubscriptionConfig {
  const { uid = '', name = '', delivery } = each
  const subscriber = to(each.subscriberUri, each.subscriberCACerts, each.subscriberAudience)
  const reply = to(each.replyUri, each.replyCACerts, each.replyAudience)
  const { uri, CACerts, audience } = delivery?.deadLetterSink ?? {}
  const deadLetter = to(uri, CACerts, audience)
  return {
    uid,
    kind: 'Subscription',
    namespace,
    name,
    ...(subscriber && { subscriber }),
    ...(reply && { reply }),
    ...(deadLetter && { deadLetter }),
    delivery: deliveryPolicy(delivery),
  }
}

/** `a.b.svc` and `a.b` for `a.b.svc.cluster.local`. */
const shorter = (host: string): readonly string[] => [
  host.replace(`.${clusterDomain}`, ''),
  host.replace(/\.svc\..*$/, ''),
]

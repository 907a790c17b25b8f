/**
 * messaging.knative.dev before v1: subscribers under `subscribable`, replies as `{channel}`. v1beta1 has the shape of
 * today.
 */
import {
  fieldsOf,
  isFields,
  listOf,
  textOf,
  without,
  type Fields,
} from '../../../knative/old-form.ts'
import type { ServedVersion } from '../../../kube/api/kind.ts'
import type { Schema } from '../../../kube/api/schema.ts'
import { annotation, messagingGroup as group } from '../names.ts'
import { destinationOf, mapped, withAnnotations } from './destination.ts'
import { oldVersion } from './old-version.ts'

function todaysSubscriber(value: unknown): Fields {
  const { subscriberURI, replyURI, deadLetterSink, ref: _, ...rest } = fieldsOf(value)
  return {
    ...rest,
    ...(textOf(subscriberURI) && { subscriberUri: subscriberURI }),
    ...(textOf(replyURI) && { replyUri: replyURI }),
    ...(textOf(deadLetterSink) && {
      delivery: { ...fieldsOf(rest['delivery']), deadLetterSink: { uri: deadLetterSink } },
    }),
  }
}

function oldSubscriber(value: unknown): Fields {
  const { subscriberUri, replyUri, ...rest } = fieldsOf(value)
  const sink = fieldsOf(fieldsOf(rest['delivery'])['deadLetterSink'])['uri']
  return {
    ...rest,
    ...(textOf(subscriberUri) && { subscriberURI: subscriberUri }),
    ...(textOf(replyUri) && { replyURI: replyUri }),
    ...(textOf(sink) && { deadLetterSink: sink }),
  }
}

function channelSpec(spec: Fields): Fields {
  const { subscribable, ...rest } = spec
  if (!isFields(subscribable)) return rest
  return { ...rest, subscribers: listOf(subscribable['subscribers']).map(todaysSubscriber) }
}

function oldChannelSpec(spec: Fields): Fields {
  const { subscribers, ...rest } = spec
  if (listOf(subscribers).length === 0) return rest
  return { ...rest, subscribable: { subscribers: listOf(subscribers).map(oldSubscriber) } }
}

function oldChannelStatus(status: Fields): Fields {
  const { subscribers } = status
  return listOf(subscribers).length === 0
    ? status
    : { ...without(status, 'subscribers'), subscribableStatus: { subscribers } }
}

function channelStatus(status: Fields): Fields {
  const { subscribableStatus, ...rest } = status
  const { subscribers } = fieldsOf(subscribableStatus)
  return subscribers === undefined ? rest : { ...rest, subscribers }
}

/** Of Channel and InMemoryChannel. */
export const channelVersions = (kind: string, schema: Schema): readonly ServedVersion[] => [
  oldVersion({ group, version: 'v1beta1', kind, schema }),
  oldVersion({
    group,
    version: 'v1alpha1',
    kind,
    toSpec: channelSpec,
    fromSpec: oldChannelSpec,
    toStatus: channelStatus,
    fromStatus: oldChannelStatus,
    toStorage: (converted) => withAnnotations(converted, { [annotation.subscribable]: 'v1' }),
    fromStorage: (converted) =>
      withAnnotations(converted, { [annotation.subscribable]: 'v1alpha1' }),
  }),
]

/** A channel of eventing.knative.dev or channels.knative.dev is the one of today that is made for it. */
function todaysChannel(channel: unknown): unknown {
  const { apiVersion, name } = fieldsOf(channel)
  return ['eventing.knative.dev/v1alpha1', 'channels.knative.dev/v1alpha1'].includes(
    textOf(apiVersion),
  )
    ? { apiVersion: `${group}/v1`, kind: 'Channel', name }
    : channel
}

/** An answer could only go to a channel; then it could go anywhere. */
export const subscriptionSpec = (spec: Fields, patched: boolean): Fields => {
  const subscriber = destinationOf(spec['subscriber'], 'spec.subscriber', patched)
  const reply = destinationOf(spec['reply'], 'spec.reply', patched)
  const channel = todaysChannel(spec['channel'])
  const rest = {
    ...without(spec, 'subscriber', 'reply', 'channel'),
    ...(channel !== undefined && { channel }),
  }
  // Without a subscriber events go straight on.
  if (!subscriber) return { ...rest, ...(reply && { subscriber: reply }) }
  return { ...rest, subscriber, ...(reply && { reply }) }
}

/** Addresses under the names they had, beside those of today. */
function withFormerUris(physical: unknown): Fields {
  const { subscriberUri, replyUri } = fieldsOf(physical)
  return {
    ...fieldsOf(physical),
    ...(textOf(subscriberUri) && { subscriberURI: subscriberUri }),
    ...(textOf(replyUri) && { replyURI: replyUri }),
  }
}

export const subscriptionVersions = (schema: Schema): readonly ServedVersion[] => [
  oldVersion({ group, version: 'v1beta1', kind: 'Subscription', schema }),
  oldVersion({
    group,
    version: 'v1alpha1',
    kind: 'Subscription',
    toSpec: subscriptionSpec,
    toStatus: (status) =>
      mapped(status, {
        physicalSubscription: (one) => without(fieldsOf(one), 'subscriberURI', 'replyURI'),
      }),
    fromStatus: (status) => mapped(status, { physicalSubscription: withFormerUris }),
    fromSpec: (spec) =>
      mapped(spec, {
        reply: (reply) =>
          isFields(reply) && isFields(reply['ref']) && reply['uri'] === undefined
            ? { channel: reply['ref'] }
            : reply,
      }),
  }),
]

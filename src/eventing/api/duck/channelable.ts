/**
 * What all channels share: who is subscribed, how events are delivered, where they come in (knative.dev/eventing
 * duck/v1 Channelable).
 */
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import { integer, list, object, string, type Static } from '../../../kube/api/schema.ts'
import { addressFields, authFields, policyFields } from './address-status.ts'
import { DeliverySpec, deliveryStatusFields } from './delivery-spec.ts'

/** One entry of `spec.subscribers`, with everything resolved. */
export const SubscriberSpec = object({
  name: string({ description: 'Of the Subscription.' }),
  uid: string({ description: 'Of the Subscription.' }),
  generation: integer({ format: 'int64' }),
  subscriberUri: string(),
  subscriberCACerts: string(),
  subscriberAudience: string(),
  replyUri: string(),
  replyCACerts: string(),
  replyAudience: string(),
  delivery: DeliverySpec,
  ...authFields,
})
export type SubscriberSpec = Static<typeof SubscriberSpec>

export const SubscriberStatus = object({
  uid: string(),
  observedGeneration: integer({ format: 'int64' }),
  ready: string({ description: 'True, False or Unknown.' }),
  message: string(),
  ...authFields,
})
export type SubscriberStatus = Static<typeof SubscriberStatus>

/** Spread into the spec of a channel kind. */
export const channelableSpecFields = {
  subscribers: list(SubscriberSpec, {
    description: 'Whom events go to; written by Subscriptions.',
  }),
  delivery: DeliverySpec,
}

/** Spread into its status. */
export const channelableStatusFields = {
  ...statusFields,
  ...addressFields,
  ...deliveryStatusFields,
  ...policyFields,
  subscribers: list(SubscriberStatus, { description: 'How each subscriber stands.' }),
}

/** What channels are made by: a kind, and its spec word for word. */
export const ChannelTemplate = object(
  {
    apiVersion: string({ description: 'Of the channel kind.' }),
    kind: string({ description: 'Of the channel.' }),
    spec: object({}, { 'x-kubernetes-preserve-unknown-fields': true }),
  },
  { description: 'The channel to make.' },
)
export type ChannelTemplate = Static<typeof ChannelTemplate>

export function* validateTemplate(template: ChannelTemplate | undefined): Generator<FieldError> {
  if (!template) {
    yield missingField('channelTemplate')
    return
  }
  if (!template.apiVersion) yield missingField('channelTemplate.apiVersion')
  if (!template.kind) yield missingField('channelTemplate.kind')
}

export function* validateSubscribers(
  subscribers: readonly SubscriberSpec[],
): Generator<FieldError> {
  for (const [i, { replyUri, subscriberUri }] of subscribers.entries())
    if (!replyUri && !subscriberUri)
      yield* via(`subscribers[${i}]`, [
        {
          ...missingField('replyURI', 'subscriberURI'),
          details: 'expected at least one of, got none',
        },
      ])
}

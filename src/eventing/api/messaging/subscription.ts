/** Subscription: sends a channel's events to a subscriber, and its answers on (messaging.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, string, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { ageColumn, authFields } from '../duck/address-status.ts'
import { subscriptionVersions } from '../conversion/messaging.ts'
import { featuresOf } from '../config/read.ts'
import { validateAcross } from '../admission/cross-namespace.ts'
import {
  DeliverySpec,
  deliveryIn,
  deliveryStatusFields,
  validateDelivery,
} from '../duck/delivery-spec.ts'
import {
  Destination,
  destinationIn,
  KReference,
  validateDestination,
  validateReference,
} from '../duck/destination.ts'
import { withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, messagingGroup, validationWebhook } from '../names.ts'

export const SubscriptionSpec = object({
  channel: KReference,
  subscriber: Destination,
  reply: Destination,
  delivery: DeliverySpec,
})
export type SubscriptionSpec = Static<typeof SubscriptionSpec>

export const SubscriptionStatus = object({
  ...statusFields,
  ...authFields,
  physicalSubscription: object({
    subscriberUri: string(),
    subscriberCACerts: string(),
    subscriberAudience: string(),
    replyUri: string(),
    replyCACerts: string(),
    replyAudience: string(),
    ...deliveryStatusFields,
  }),
})
export type SubscriptionStatus = Static<typeof SubscriptionStatus>

export interface Subscription extends KubeObject {
  readonly spec: SubscriptionSpec
  readonly status?: SubscriptionStatus
}

const withDefaults = (subscription: Subscription): Subscription => {
  const { spec, metadata } = subscription
  const { namespace = '' } = metadata
  return {
    ...subscription,
    spec: {
      ...spec,
      ...(spec?.subscriber && { subscriber: destinationIn(spec.subscriber, namespace) }),
      ...(spec?.reply && { reply: destinationIn(spec.reply, namespace) }),
      ...(spec?.delivery && { delivery: deliveryIn(spec.delivery, namespace) }),
    },
  }
}

function defaults(sent: Subscription, context: AdmissionContext<Subscription>): Subscription {
  const subscription = withDefaults(sent)
  const { old } = context
  const changed = !old || !sameJson(subscription.spec, withDefaults(old).spec)
  return withUserInfo(subscription, messagingGroup, context, changed)
}

const isEmpty = (destination: Destination | undefined): boolean =>
  !destination || Object.keys(destination).length === 0

function* validate(
  { spec, metadata }: Subscription,
  context: AdmissionContext<Subscription>,
): Generator<FieldError> {
  const { old } = context
  const { channel, subscriber, reply, delivery } = spec
  const { namespace = '' } = metadata
  if (!channel || Object.keys(channel).length === 0)
    yield {
      ...missingField('spec.channel'),
      details: 'the Subscription must reference a channel',
    }
  else {
    const across = featuresOf(context).crossNamespaceEventLinks
    const within = across ? {} : { namespace }
    yield* via('spec.channel', validateReference(channel, { ...within, context }))
    if (across)
      yield* validateAcross(
        {
          group: messagingGroup,
          resource: `${channel.kind?.toLowerCase() ?? ''}s`,
          namespace: channel.namespace ?? '',
          name: channel.name ?? '',
        },
        namespace,
        'spec.channel',
        context,
      )
  }
  if (isEmpty(subscriber))
    yield {
      ...missingField('spec.subscriber'),
      details: 'the Subscription must reference a subscriber',
    }
  else if (subscriber) yield* via('spec.subscriber', validateDestination(subscriber, context))
  if (reply && !isEmpty(reply)) yield* via('spec.reply', validateDestination(reply, context))
  if (delivery) yield* via('spec.delivery', validateDelivery(delivery, context))
  if (old && !sameJson(old.spec.channel, channel))
    yield {
      message: 'Immutable fields changed (-old +new)',
      paths: ['spec'],
      details: `-: ${JSON.stringify(old.spec.channel)}\n+: ${JSON.stringify(channel)}`,
    }
}

export const subscriptionConditions = conditionSet({
  dependents: ['ReferencesResolved', 'AddedToChannel', 'ChannelReady', 'OIDCIdentityCreated'],
})

const schema = object({ spec: SubscriptionSpec, status: SubscriptionStatus })

export const Subscription: KindDefinition<Subscription> = {
  group: messagingGroup,
  version: 'v1',
  kind: 'Subscription',
  plural: 'subscriptions',
  singular: 'subscription',
  shortNames: ['sub'],
  categories: ['all', 'knative', 'messaging'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: "Sends a channel's events to a subscriber, and its answers on.",
  definition: { labels: definitionLabels.plain },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: subscriptionVersions(schema),
  columns: [ageColumn, ...readyColumns],
}

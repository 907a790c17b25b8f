/**
 * InMemoryChannel: the channel of one machine (messaging.knative.dev/v1). The name is Knative's; here its events are on
 * disk like all others.
 */
import { admission } from '../../../knative/admission.ts'
import { childName } from '../../../knative/child-name.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { genericError, invalidValue, via, type FieldError } from '../../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { channelDefaults, channelKindFields } from './channel-kind.ts'
import {
  channelableSpecFields,
  channelableStatusFields,
  validateSubscribers,
} from '../duck/channelable.ts'
import { channelVersions } from '../conversion/messaging.ts'
import { validateDelivery } from '../duck/delivery-spec.ts'
import { annotation, clusterDomain, systemNamespace, validationWebhook } from '../names.ts'
import { validateRetention } from '../duck/retention.ts'

export const InMemoryChannelSpec = object(channelableSpecFields)
export type InMemoryChannelSpec = Static<typeof InMemoryChannelSpec>

export const InMemoryChannelStatus = object(channelableStatusFields)
export type InMemoryChannelStatus = Static<typeof InMemoryChannelStatus>

export interface InMemoryChannel extends KubeObject {
  readonly spec: InMemoryChannelSpec
  readonly status?: InMemoryChannelStatus
}

/** Name of the Service whose host is a channel's address. */
export const channelServiceName = (channel: string): string => childName(channel, '-kn-channel')

export const channelHost = (namespace: string, channel: string): string =>
  `${channelServiceName(channel)}.${namespace}.svc.${clusterDomain}`

/** Who alone may change the subscribers of a channel. */
export const subscriberWriter = `system:serviceaccount:${systemNamespace}:eventing-controller`

const defaults = channelDefaults<InMemoryChannel>((spec) => spec)

function* validate(
  { spec, metadata }: InMemoryChannel,
  context: AdmissionContext<InMemoryChannel>,
): Generator<FieldError> {
  const { old, user } = context
  yield* via('spec', validateSubscribers(spec.subscribers ?? []))
  if (spec.delivery) yield* via('spec.delivery', validateDelivery(spec.delivery, context))
  yield* validateRetention(metadata)
  const scope = metadata.annotations?.[annotation.scope]
  if (scope !== undefined && scope !== 'cluster' && scope !== 'namespace')
    yield invalidValue(
      scope,
      `metadata.annotations[${annotation.scope}]`,
      "expected either 'cluster' or 'namespace'",
    )
  const changed = old && !sameJson(old.spec.subscribers ?? [], spec.subscribers ?? [])
  if (changed && user.username !== subscriberWriter)
    yield genericError(
      `Channel.Spec.Subscribers changed by user ${user.username} which was not the ${subscriberWriter} service account`,
      'spec.subscribers',
    )
}

export const inMemoryChannelConditions = conditionSet({
  dependents: [
    'ServiceReady',
    'EndpointsReady',
    'Addressable',
    'ChannelServiceReady',
    'DeadLetterSinkResolved',
    'EventPoliciesReady',
  ],
})

const schema = object({ spec: InMemoryChannelSpec, status: InMemoryChannelStatus })

export const InMemoryChannel: KindDefinition<InMemoryChannel> = {
  ...channelKindFields,
  kind: 'InMemoryChannel',
  plural: 'inmemorychannels',
  singular: 'inmemorychannel',
  shortNames: ['imc'],
  description: 'A channel of this machine; its events are kept on disk.',
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: channelVersions('InMemoryChannel', schema),
}

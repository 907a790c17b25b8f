/** Channel: a channel of whatever kind is the default (messaging.knative.dev/v1; contract eventing §2.7). */
import { admission } from '../../knative/admission.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from '../../knative/columns.ts'
import { disallowedFields, via, type FieldError } from '../../knative/field-error.ts'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, type Static } from '../../kube/api/schema.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { ageColumn, urlColumn } from './address-status.ts'
import {
  channelableSpecFields,
  channelableStatusFields,
  ChannelTemplate,
  validateTemplate,
} from './channelable.ts'
import {
  channelDefault,
  configChannelDefaults,
  configFormerChannelDefaults,
} from './config/ch-webhook.ts'
import { channelVersions } from './conversion/messaging.ts'
import { deliveryIn, validateDelivery } from './delivery-spec.ts'
import { KReference } from './destination.ts'
import { followingSubresources } from './following.ts'
import { withMetadata, withUserInfo } from './metadata.ts'
import {
  definitionLabels,
  annotation,
  messagingGroup,
  systemNamespace,
  validationWebhook,
} from './names.ts'

export const ChannelSpec = object({ channelTemplate: ChannelTemplate, ...channelableSpecFields })
export type ChannelSpec = Static<typeof ChannelSpec>

export const ChannelStatus = object({ ...channelableStatusFields, channel: KReference })
export type ChannelStatus = Static<typeof ChannelStatus>

export interface Channel extends KubeObject {
  readonly spec: ChannelSpec
  readonly status?: ChannelStatus
}

/** The template that an object of this namespace gets when it names none. */
export const defaultTemplate = (
  { read }: Pick<AdmissionContext, 'read'>,
  namespace: string,
): ChannelTemplate | undefined => {
  const stored = (name: string) => read(ConfigMap, { namespace: systemNamespace, name })
  const today = stored(configChannelDefaults.name)
  const former = stored(configFormerChannelDefaults.name)
  const config =
    former && today?.data?.['default-ch-config'] === undefined
      ? configFormerChannelDefaults.from(former)
      : configChannelDefaults.from(today)
  return channelDefault(config, namespace)
}

function withDefaults(channel: Channel, context: AdmissionContext<Channel>): Channel {
  const { spec, metadata } = channel
  const { namespace = '' } = metadata
  const channelTemplate = spec?.channelTemplate ?? defaultTemplate(context, namespace)
  return withMetadata(
    {
      ...channel,
      spec: {
        ...spec,
        ...(channelTemplate && { channelTemplate }),
        ...(spec?.delivery && { delivery: deliveryIn(spec.delivery, namespace) }),
      },
    },
    { annotations: { [annotation.subscribable]: 'v1' } },
  )
}

function defaults(sent: Channel, context: AdmissionContext<Channel>): Channel {
  const channel = withDefaults(sent, context)
  const { old } = context
  return withUserInfo(channel, messagingGroup, context, !old || !sameJson(channel.spec, old.spec))
}

function* validate({ spec }: Channel, context: AdmissionContext<Channel>): Generator<FieldError> {
  const { old } = context
  yield* via('spec', validateTemplate(spec.channelTemplate))
  if ((spec.subscribers ?? []).length > 0) yield disallowedFields('spec.subscribable.subscribers')
  if (spec.delivery) yield* via('spec.delivery', validateDelivery(spec.delivery, context))
  const fixed = (each: ChannelSpec) => ({ ...each, subscribers: undefined })
  if (old && !sameJson(fixed(old.spec), fixed(spec)))
    yield {
      message: 'Immutable fields changed (-old +new)',
      paths: ['spec'],
      details: `-: ${JSON.stringify(fixed(old.spec))}\n+: ${JSON.stringify(fixed(spec))}`,
    }
}

export const channelConditions = conditionSet({
  dependents: [
    'BackingChannelReady',
    'Addressable',
    'DeadLetterSinkResolved',
    'EventPoliciesReady',
  ],
})

const schema = object({ spec: ChannelSpec, status: ChannelStatus })

export const Channel: KindDefinition<Channel> = {
  group: messagingGroup,
  version: 'v1',
  kind: 'Channel',
  plural: 'channels',
  singular: 'channel',
  shortNames: ['ch'],
  categories: ['all', 'knative', 'messaging', 'channel'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  subresources: followingSubresources,
  description: 'Takes events in and hands them to Subscriptions; made of another channel kind.',
  definition: { labels: definitionLabels.channel },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: channelVersions('Channel', schema),
  columns: [urlColumn, ageColumn, ...readyColumns],
}

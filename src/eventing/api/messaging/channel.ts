/** Channel: a channel of whatever kind is the default (messaging.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { disallowedFields, via, type FieldError } from '../../../knative/field-error.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { channelDefaults, channelKindFields } from './channel-kind.ts'
import {
  channelableSpecFields,
  channelableStatusFields,
  ChannelTemplate,
  validateTemplate,
} from '../duck/channelable.ts'
import {
  channelDefault,
  configChannelDefaults,
  configFormerChannelDefaults,
} from '../config/ch-webhook.ts'
import { channelVersions } from '../conversion/messaging.ts'
import { validateDelivery } from '../duck/delivery-spec.ts'
import { KReference } from '../duck/destination.ts'
import { systemNamespace, validationWebhook } from '../names.ts'
import { validateRetention } from '../duck/retention.ts'

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

const defaults = channelDefaults<Channel>((spec, context, namespace) => {
  const channelTemplate = spec.channelTemplate ?? defaultTemplate(context, namespace)
  return { ...spec, ...(channelTemplate && { channelTemplate }) }
})

function* validate(
  { spec, metadata }: Channel,
  context: AdmissionContext<Channel>,
): Generator<FieldError> {
  const { old } = context
  yield* validateRetention(metadata)
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
  ...channelKindFields,
  kind: 'Channel',
  plural: 'channels',
  singular: 'channel',
  shortNames: ['ch'],
  description: 'Takes events in and hands them to Subscriptions; made of another channel kind.',
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: channelVersions('Channel', schema),
}

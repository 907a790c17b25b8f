/**
 * Channel, Subscription and ClusterChannelProvisioner of eventing.knative.dev until 0.6: a channel was of a
 * provisioner, which is a kind of its own today.
 */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import { missingField, type FieldError } from '../../../knative/field-error.ts'
import { fieldsOf, textOf, type Fields } from '../../../knative/old-form.ts'
import { statusFields } from '../../../knative/status.ts'
import type { KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Static } from '../../../kube/api/schema.ts'
import { ageColumn } from '../duck/address-status.ts'
import { Channel } from '../messaging/channel.ts'
import { provisionedBy } from '../conversion/broker.ts'
import { subscriptionSpec } from '../conversion/messaging.ts'
import { legacyKind } from './legacy-kind.ts'
import { definitionLabels, eventingGroup, messagingGroup, validationWebhook } from '../names.ts'
import { Subscription } from '../messaging/subscription.ts'

const categories = ['knative', 'eventing'] as const

/** Kafka's arguments are fields of its channel; others have none. */
function channelSpec(spec: Fields): Fields {
  const template = provisionedBy(textOf(fieldsOf(spec['provisioner'])['name']))
  if (!template) return {}
  const { NumPartitions, ReplicationFactor } = fieldsOf(spec['arguments'])
  const own = {
    ...(NumPartitions !== undefined && { numPartitions: NumPartitions }),
    ...(ReplicationFactor !== undefined && { replicationFactor: ReplicationFactor }),
  }
  const isKafka = template['kind'] === 'KafkaChannel' && Object.keys(own).length > 0
  return { channelTemplate: { ...template, ...(isKafka && { spec: own }) } }
}

function* channelOf(spec: Fields): Generator<FieldError> {
  if (!textOf(fieldsOf(spec['channel'])['name'])) yield missingField('spec.channel.name')
}

export const LegacyChannel = legacyKind({
  group: eventingGroup,
  kind: 'Channel',
  plural: 'channels',
  categories,
  successor: Channel,
  description: 'Predecessor of messaging.knative.dev Channel.',
  convert: channelSpec,
  missing: () => [],
  conditions: { Provisioned: 'BackingChannelReady' },
})

export const LegacySubscription = legacyKind({
  group: eventingGroup,
  kind: 'Subscription',
  plural: 'subscriptions',
  categories,
  successor: Subscription,
  description: 'Predecessor of messaging.knative.dev Subscription.',
  convert: subscriptionSpec,
  missing: channelOf,
  conditions: { Resolved: 'ReferencesResolved' },
})

export const ClusterChannelProvisionerStatus = object(statusFields)
export type ClusterChannelProvisionerStatus = Static<typeof ClusterChannelProvisionerStatus>

export interface ClusterChannelProvisioner extends KubeObject {
  readonly status?: ClusterChannelProvisionerStatus
}

export const provisionerConditions = conditionSet({ dependents: [] })

export const ClusterChannelProvisioner: KindDefinition<ClusterChannelProvisioner> = {
  group: eventingGroup,
  version: 'v1alpha1',
  kind: 'ClusterChannelProvisioner',
  plural: 'clusterchannelprovisioners',
  singular: 'clusterchannelprovisioner',
  shortNames: ['ccp'],
  categories,
  namespaced: false,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Predecessor of the kinds of channels.',
  definition: { labels: definitionLabels.plain },
  admit: admission<ClusterChannelProvisioner>({
    webhook: validationWebhook,
    defaults(provisioner, context) {
      context.warn(
        `${eventingGroup}/v1alpha1 ClusterChannelProvisioner is deprecated; use a kind of ${messagingGroup}`,
      )
      return provisioner
    },
  }),
  schema: object({
    spec: object({}, { 'x-kubernetes-preserve-unknown-fields': true }),
    status: ClusterChannelProvisionerStatus,
  }),
  columns: [...readyColumns, ageColumn],
}

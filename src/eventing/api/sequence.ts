/** Sequence: steps that an event takes one after the other (flows.knative.dev/v1; contract eventing §2.10). */
import { admission } from '../../knative/admission.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from '../../knative/columns.ts'
import { invalidValue, missingField, via, type FieldError } from '../../knative/field-error.ts'
import { objectReference, statusFields } from '../../knative/status.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { list, object, string, type Static } from '../../kube/api/schema.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { addressFields, ageColumn, authFields, policyFields, urlColumn } from './address-status.ts'
import { defaultTemplate } from './channel.ts'
import { ChannelTemplate, validateTemplate } from './channelable.ts'
import { sequenceVersions } from './conversion/flows.ts'
import { DeliverySpec, deliveryIn, validateDelivery } from './delivery-spec.ts'
import {
  Destination,
  destinationFields,
  destinationIn,
  validateDestination,
} from './destination.ts'
import { definitionLabels, flowsGroup, validationWebhook } from './names.ts'
import { withUserInfo } from './metadata.ts'

export const SequenceStep = object({ ...destinationFields, delivery: DeliverySpec })
export type SequenceStep = Static<typeof SequenceStep>

export const SequenceSpec = object({
  steps: list(SequenceStep, { description: 'Whom events go to, one after the other.' }),
  channelTemplate: ChannelTemplate,
  reply: Destination,
})
export type SequenceSpec = Static<typeof SequenceSpec>

/** A Ready condition of something that was made, as flows repeat it. */
export const readyCopy = object({
  type: string(),
  status: string(),
  severity: string(),
  lastTransitionTime: string(),
  reason: string(),
  message: string(),
})

export const channelStatusItem = object({ channel: objectReference, ready: readyCopy })
export const subscriptionStatusItem = object({ subscription: objectReference, ready: readyCopy })

export const SequenceStatus = object({
  ...statusFields,
  ...addressFields,
  ...authFields,
  ...policyFields,
  subscriptionStatuses: list(subscriptionStatusItem, {
    description: 'One for each step.',
  }),
  channelStatuses: list(channelStatusItem, { description: 'One for each step.' }),
})
export type SequenceStatus = Static<typeof SequenceStatus>

export interface Sequence extends KubeObject {
  readonly spec: SequenceSpec
  readonly status?: SequenceStatus
}

function withDefaults(sequence: Sequence, context: AdmissionContext<Sequence>): Sequence {
  const { spec, metadata } = sequence
  const { namespace = '' } = metadata
  const channelTemplate = spec?.channelTemplate ?? defaultTemplate(context, namespace)
  return {
    ...sequence,
    spec: {
      ...spec,
      ...(channelTemplate && { channelTemplate }),
      ...(spec?.steps && { steps: spec.steps.map((step) => stepIn(step, namespace)) }),
      ...(spec?.reply && { reply: destinationIn(spec.reply, namespace) }),
    },
  }
}

const stepIn = (step: SequenceStep, namespace: string): SequenceStep => ({
  ...destinationIn(step, namespace),
  ...(step.delivery && { delivery: deliveryIn(step.delivery, namespace) }),
})

function defaults(sent: Sequence, context: AdmissionContext<Sequence>): Sequence {
  const sequence = withDefaults(sent, context)
  const { old } = context
  const changed = !old || !sameJson(sequence.spec, withDefaults(old, context).spec)
  return withUserInfo(sequence, flowsGroup, context, changed)
}

function* validate({ spec }: Sequence, context: AdmissionContext<Sequence>): Generator<FieldError> {
  const { steps = [], channelTemplate, reply } = spec
  if (steps.length === 0) yield missingField('spec.steps')
  for (const [i, step] of steps.entries()) {
    const { delivery, ...destination } = step
    for (const error of validateDestination(destination, context))
      yield {
        ...invalidValue(JSON.stringify(step), `spec.steps[${i}]`),
        details: `${error.message}: ${error.paths.join(', ')}`,
      }
    if (delivery) yield* via(`spec.steps[${i}].delivery`, validateDelivery(delivery, context))
  }
  yield* via('spec', validateTemplate(channelTemplate))
  if (reply) yield* via('spec.reply', validateDestination(reply, context))
}

export const sequenceConditions = conditionSet({
  dependents: ['ChannelsReady', 'SubscriptionsReady', 'Addressable', 'EventPoliciesReady'],
})

const schema = object({ spec: SequenceSpec, status: SequenceStatus })

export const Sequence: KindDefinition<Sequence> = {
  group: flowsGroup,
  version: 'v1',
  kind: 'Sequence',
  plural: 'sequences',
  singular: 'sequence',
  categories: ['all', 'knative', 'eventing', 'flows'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Steps that an event takes one after the other: what one answers goes to the next.',
  definition: { labels: definitionLabels.addressable },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: sequenceVersions(schema),
  columns: [urlColumn, ageColumn, ...readyColumns],
}

/** Sequence: steps that an event takes one after the other (flows.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { invalidValue, missingField, via, type FieldError } from '../../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { list, object, type Static } from '../../../kube/api/schema.ts'
import { ChannelTemplate, validateTemplate } from '../duck/channelable.ts'
import { sequenceVersions } from '../conversion/flows.ts'
import { DeliverySpec, deliveryIn, validateDelivery } from '../duck/delivery-spec.ts'
import {
  Destination,
  destinationFields,
  destinationIn,
  validateDestination,
} from '../duck/destination.ts'
import {
  channelStatusItem,
  flowConditions,
  flowDefaults,
  flowKindFields,
  flowStatusFields,
  subscriptionStatusItem,
} from './flow-kind.ts'
import { validationWebhook } from '../names.ts'

export const SequenceStep = object({ ...destinationFields, delivery: DeliverySpec })
export type SequenceStep = Static<typeof SequenceStep>

export const SequenceSpec = object({
  steps: list(SequenceStep, { description: 'Whom events go to, one after the other.' }),
  channelTemplate: ChannelTemplate,
  reply: Destination,
})
export type SequenceSpec = Static<typeof SequenceSpec>

export const SequenceStatus = object({
  ...flowStatusFields,
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

const defaults = flowDefaults<Sequence>((spec, namespace) => ({
  ...spec,
  ...(spec.steps && { steps: spec.steps.map((step) => stepIn(step, namespace)) }),
}))

const stepIn = (step: SequenceStep, namespace: string): SequenceStep => ({
  ...destinationIn(step, namespace),
  ...(step.delivery && { delivery: deliveryIn(step.delivery, namespace) }),
})

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

export const sequenceConditions = flowConditions()

const schema = object({ spec: SequenceSpec, status: SequenceStatus })

export const Sequence: KindDefinition<Sequence> = {
  ...flowKindFields,
  kind: 'Sequence',
  plural: 'sequences',
  singular: 'sequence',
  description: 'Steps that an event takes one after the other: what one answers goes to the next.',
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: sequenceVersions(schema),
}

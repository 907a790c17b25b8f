/** Parallel: branches that each see an event, with a filter before them (flows.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { list, object, type Static } from '../../../kube/api/schema.ts'
import { ChannelTemplate, validateTemplate } from '../duck/channelable.ts'
import { parallelVersions } from '../conversion/flows.ts'
import { DeliverySpec, deliveryIn, validateDelivery } from '../duck/delivery-spec.ts'
import { Destination, destinationIn, validateDestination } from '../duck/destination.ts'
import {
  channelStatusItem,
  flowConditions,
  flowDefaults,
  flowKindFields,
  flowStatusFields,
  subscriptionStatusItem,
} from './flow-kind.ts'
import { validationWebhook } from '../names.ts'

export const ParallelBranch = object({
  filter: Destination,
  subscriber: Destination,
  reply: Destination,
  delivery: DeliverySpec,
})
export type ParallelBranch = Static<typeof ParallelBranch>

export const ParallelSpec = object({
  branches: list(ParallelBranch, { description: 'All of them see each event.' }),
  channelTemplate: ChannelTemplate,
  reply: Destination,
})
export type ParallelSpec = Static<typeof ParallelSpec>

export const ParallelStatus = object({
  ...flowStatusFields,
  ingressChannelStatus: channelStatusItem,
  branchStatuses: list(
    object({
      filterSubscriptionStatus: subscriptionStatusItem,
      filterChannelStatus: channelStatusItem,
      subscriberSubscriptionStatus: subscriptionStatusItem,
    }),
    { description: 'One for each branch.' },
  ),
})
export type ParallelStatus = Static<typeof ParallelStatus>

export interface Parallel extends KubeObject {
  readonly spec: ParallelSpec
  readonly status?: ParallelStatus
}

const defaults = flowDefaults<Parallel>((spec, namespace) => ({
  ...spec,
  ...(spec.branches && { branches: spec.branches.map((each) => branchIn(each, namespace)) }),
}))

const branchIn = (
  { filter, subscriber, reply, delivery }: ParallelBranch,
  namespace: string,
): ParallelBranch => ({
  ...(filter && { filter: destinationIn(filter, namespace) }),
  ...(subscriber && { subscriber: destinationIn(subscriber, namespace) }),
  ...(reply && { reply: destinationIn(reply, namespace) }),
  ...(delivery && { delivery: deliveryIn(delivery, namespace) }),
})

function* validate({ spec }: Parallel, context: AdmissionContext<Parallel>): Generator<FieldError> {
  const { branches = [], channelTemplate, reply } = spec
  if (branches.length === 0) yield missingField('spec.branches')
  for (const [i, branch] of branches.entries()) {
    const at = `spec.branches[${i}]`
    const { filter, subscriber, delivery } = branch
    if (filter) yield* via(`${at}.filter`, validateDestination(filter, context))
    yield* via(`${at}.subscriber`, validateDestination(subscriber ?? {}, context))
    if (branch.reply) yield* via(`${at}.reply`, validateDestination(branch.reply, context))
    if (delivery) yield* via(`${at}.delivery`, validateDelivery(delivery, context))
  }
  yield* via('spec', validateTemplate(channelTemplate))
  if (reply) yield* via('spec.reply', validateDestination(reply, context))
}

export const parallelConditions = flowConditions()

const schema = object({ spec: ParallelSpec, status: ParallelStatus })

export const Parallel: KindDefinition<Parallel> = {
  ...flowKindFields,
  kind: 'Parallel',
  plural: 'parallels',
  singular: 'parallel',
  description: 'Branches that each see an event and answer for themselves.',
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: parallelVersions(schema),
}

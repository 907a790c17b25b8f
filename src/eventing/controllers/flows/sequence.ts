/**
 * Sequence: a channel and a Subscription for each step, one leading into the next (knative.dev/eventing
 * `pkg/reconciler/sequence`).
 */
import { childName } from '../../../knative/child-name.ts'
import { Sequence, sequenceConditions as conditions } from '../../api/flows/sequence.ts'
import { channelItem, channelReference, subscriptionItem } from './flow-objects.ts'
import { flowReconciler } from './flow.ts'

/** Of the channel and of the Subscription of a step. */
export const stepName = (sequence: string, index: number): string =>
  childName(sequence, `-kn-sequence-${index}`)

const namesOf = ({ spec, metadata }: Sequence): readonly string[] =>
  (spec.steps ?? []).map((_, i) => stepName(metadata.name, i))

export const sequenceReconciler = flowReconciler<Sequence>({
  kind: Sequence,
  conditions,
  nameLabel: 'flows.knative.dev/sequence-name',
  unready: 'Unknown',

  partsOf(sequence, kind) {
    const { steps = [], reply } = sequence.spec
    const channels = namesOf(sequence)
    return {
      channels,
      subscriptions: steps.map(({ delivery, ...subscriber }, i) => {
        const name = stepName(sequence.metadata.name, i)
        const next = channels[i + 1]
        return {
          name,
          channel: channelReference(kind, name),
          subscriber,
          delivery,
          reply: next === undefined ? reply : { ref: channelReference(kind, next) },
        }
      }),
    }
  },

  standing(sequence, kind, found, begun) {
    const { namespace = '' } = sequence.metadata
    const names = namesOf(sequence)
    const channels = names.map((each) => channelItem(kind, each, namespace, found.channel(each)))
    const subscriptions = names.map((each) =>
      subscriptionItem(each, namespace, found.subscription(each)),
    )
    const status = {
      ...begun,
      channelStatuses: channels,
      subscriptionStatuses: subscriptions,
    }
    return { status, channels, subscriptions }
  },
})

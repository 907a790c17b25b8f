/**
 * Parallel: a channel that all events come into, and for each branch a filter that answers the events it lets pass into
 * a channel of the branch's own (knative.dev/eventing `pkg/reconciler/parallel`).
 */
import { childName } from '../../../knative/child-name.ts'
import { Parallel, parallelConditions as conditions } from '../../api/flows/parallel.ts'
import {
  addressedItem,
  channelReference,
  subscriptionItem,
  type WantedSubscription,
} from './flow-objects.ts'
import { flowReconciler } from './flow.ts'

export const ingressName = (parallel: string): string => childName(parallel, '-kn-parallel')
/** Of a branch's channel and of the Subscription from there to its subscriber. */
export const branchName = (parallel: string, index: number): string =>
  childName(parallel, `-kn-parallel-${index}`)
export const filterName = (parallel: string, index: number): string =>
  childName(parallel, `-kn-parallel-filter-${index}`)

export const parallelReconciler = flowReconciler<Parallel>({
  kind: Parallel,
  conditions,
  nameLabel: 'flows.knative.dev/parallel-name',
  unready: 'False',

  partsOf({ metadata: { name }, spec }, kind) {
    const { branches = [] } = spec
    const ingress = channelReference(kind, ingressName(name))
    return {
      channels: [ingressName(name), ...branches.map((_, i) => branchName(name, i))],
      subscriptions: branches.flatMap(
        ({ filter, subscriber = {}, reply, delivery }, i): readonly WantedSubscription[] => {
          const own = { ref: channelReference(kind, branchName(name, i)) }
          const hasFilter = filter && Object.keys(filter).length > 0
          return [
            {
              name: filterName(name, i),
              channel: ingress,
              subscriber: hasFilter ? filter : own,
              ...(hasFilter && { reply: own }),
            },
            {
              name: branchName(name, i),
              channel: own.ref,
              subscriber,
              delivery,
              reply: reply ?? spec.reply,
            },
          ]
        },
      ),
    }
  },

  standing({ metadata, spec }, kind, found, begun) {
    const { name, namespace = '' } = metadata
    const channel = (each: string) => addressedItem(kind, each, namespace, found.channel(each))
    const subscription = (each: string) =>
      subscriptionItem(each, namespace, found.subscription(each))
    const ingress = channel(ingressName(name))
    const branches = (spec.branches ?? []).map((_, i) => ({
      filterSubscriptionStatus: subscription(filterName(name, i)),
      filterChannelStatus: channel(branchName(name, i)),
      subscriberSubscriptionStatus: subscription(branchName(name, i)),
    }))
    return {
      status: { ...begun, ingressChannelStatus: ingress, branchStatuses: branches },
      channels: [ingress, ...branches.map((each) => each.filterChannelStatus)],
      subscriptions: branches.flatMap((each) => [
        each.filterSubscriptionStatus,
        each.subscriberSubscriptionStatus,
      ]),
    }
  },
})

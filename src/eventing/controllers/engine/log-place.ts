/** Whether a Trigger has a place in its Broker's log, by what its status says. */
import { conditionOf } from '../../../knative/conditions.ts'
import type { Trigger } from '../../api/eventing/trigger.ts'
import { engineNotReady } from './served-keys.ts'

/**
 * A Trigger that has a place in its Broker's log keeps it while its subscriber is away: events wait there for the
 * subscriber, as the place would be lost with what has not been delivered yet.
 */
export function hasPlace({ status }: Pick<Trigger, 'status'>): boolean {
  const subscribed = conditionOf(status, 'SubscriptionReady')
  return subscribed?.status === 'True' || subscribed?.reason === engineNotReady[0]
}

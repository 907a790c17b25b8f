/** What a Route says of itself. Each function takes a status and answers the next. */
import { conditionOf } from '../../../knative/conditions.ts'
import type { Ingress } from '../../api/ingress.ts'
import { routeConditions, type RouteStatus } from '../../api/route.ts'
import type { BadTraffic } from './traffic.ts'

const conditions = routeConditions

export const ingressNotConfigured = (status: RouteStatus, nowMs: number): RouteStatus =>
  conditions.markUnknown(
    status,
    'IngressReady',
    'IngressNotConfigured',
    'Ingress has not yet been reconciled.',
    nowMs,
  )

export const rolloutInProgress = (status: RouteStatus, nowMs: number): RouteStatus =>
  conditions.markUnknown(
    status,
    'IngressReady',
    'RolloutInProgress',
    'A gradual rollout of the latest revision(s) is in progress.',
    nowMs,
  )

export const trafficAssigned = (status: RouteStatus, nowMs: number): RouteStatus =>
  conditions.markTrue(status, 'AllTrafficAssigned', nowMs)

export const badTraffic = (status: RouteStatus, bad: BadTraffic, nowMs: number): RouteStatus =>
  bad.status === 'False'
    ? conditions.markFalse(status, 'AllTrafficAssigned', bad.reason, bad.message, nowMs)
    : conditions.markUnknown(status, 'AllTrafficAssigned', bad.reason, bad.message, nowMs)

export const placeholderNotOwned = (
  status: RouteStatus,
  kind: 'Service' | 'Endpoint',
  name: string,
  nowMs: number,
): RouteStatus =>
  conditions.markFalse(
    status,
    'IngressReady',
    'NotOwned',
    `There is an existing placeholder ${kind} "${name}" that we do not own.`,
    nowMs,
  )

/** Repeats what the KIngress says; the caller has made sure that it speaks of what we want now. */
export const withIngress = (status: RouteStatus, ingress: Ingress, nowMs: number): RouteStatus => {
  const ready = conditionOf(ingress.status, 'Ready')
  return ready
    ? conditions.mirror(status, 'IngressReady', ready, nowMs)
    : ingressNotConfigured(status, nowMs)
}

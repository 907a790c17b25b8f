/**
 * Ingress ("KIngress"): reports that the gateway routes by it (contracts/serving.md 2.8). There is nothing to create:
 * the gateway learns the same objects through the feed, and its acknowledgement of exactly this form is what Ready
 * means. So "Service is Ready" says that traffic is really switched.
 */
import { keyOf, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved } from '../../../knative/conditions.ts'
import { Ingress, ingressConditions, type IngressStatus } from '../../api/ingress.ts'
import type { GatewayLink } from './feed-client.ts'
import { ingressHash } from './snapshot.ts'

export interface World {
  readonly ingress: Ingress
  /** The gateway routes by the ingress as it is stored now. */
  readonly acknowledged: boolean
}

export interface IngressOptions {
  /** Name inside the cluster of the load balancer for everybody. */
  readonly publicDomain?: string
  /** Name inside the cluster of the one for cluster-local hosts. */
  readonly privateDomain?: string
}

/** Reconciles Ingresses of every class: one machine has one data plane. */
export const ingressReconciler = (
  link: Pick<GatewayLink, 'acknowledged' | 'onAcknowledged'>,
  {
    publicDomain = 'istio-ingressgateway.istio-system.svc.cluster.local',
    privateDomain = publicDomain,
  }: IngressOptions = {},
): Reconciler<Ingress, World> => ({
  name: 'ingress-controller',
  kind: Ingress,
  watches: [],

  observe: (ingress) => ({
    ingress,
    acknowledged: link.acknowledged(keyOf(ingress), ingressHash(ingress)),
  }),

  plan({ ingress, acknowledged }, nowMs) {
    const { generation = 0 } = ingress.metadata
    const begun = ingressConditions.begin(ingress.status ?? {}, generation, nowMs)
    const configured = ingressConditions.markTrue(begun, 'NetworkConfigured', nowMs)
    // What was confirmed for this generation stays so while a new control plane and the gateway still find each other.
    const confirmed =
      isObserved(ingress) && conditionOf(ingress.status, 'LoadBalancerReady')?.status === 'True'
    const status: IngressStatus =
      acknowledged || confirmed
        ? {
            ...ingressConditions.markTrue(configured, 'LoadBalancerReady', nowMs),
            publicLoadBalancer: { ingress: [{ domainInternal: publicDomain }] },
            privateLoadBalancer: { ingress: [{ domainInternal: privateDomain }] },
          }
        : ingressConditions.markUnknown(
            configured,
            'LoadBalancerReady',
            'Uninitialized',
            'Waiting for load balancer to be ready',
            nowMs,
          )
    return { status: finish(status, ingress.status, generation, nowMs) }
  },

  connect: (wake: (key: ObjectKey) => void) => link.onAcknowledged(wake),
})

/**
 * Ingress ("KIngress"): reports that the gateway routes by it (contracts/serving.md 2.8). There is nothing to create:
 * the gateway learns the same objects through the feed, and its acknowledgement of exactly this form is what Ready
 * means. So "Service is Ready" says that traffic is really switched.
 */
import { keyOf, type ObjectKey } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved } from '../../../knative/conditions.ts'
import { Ingress, ingressConditions, type IngressStatus } from '../../api/ingress.ts'
import { tlsContent } from '../certificate/tls-secret.ts'
import { createTracker } from '../tracker.ts'
import type { GatewayLink } from './feed-client.ts'
import { ingressHash } from './snapshot.ts'

export interface World {
  readonly ingress: Ingress
  /** The gateway routes by the ingress as it is stored now. */
  readonly acknowledged: boolean
  /** What is wrong with a Secret that it names for TLS. */
  readonly complaint?: string | undefined
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
  tracker = createTracker(),
): Reconciler<Ingress, World> => ({
  name: 'ingress-controller',
  kind: Ingress,
  watches: [{ kind: Secret, wake: (changed) => tracker.observers(changed) }],

  observe(ingress, read) {
    const { tls = [] } = ingress.spec
    tracker.track(
      keyOf(ingress),
      tls.map(({ secretNamespace: namespace, secretName: name }) => ({
        kind: Secret.kind,
        namespace,
        name,
      })),
    )
    return {
      ingress,
      acknowledged: link.acknowledged(keyOf(ingress), ingressHash(ingress)),
      complaint: secretComplaint(ingress, read),
    }
  },

  plan({ ingress, acknowledged, complaint }, nowMs) {
    const { generation = 0 } = ingress.metadata
    const begun = ingressConditions.begin(ingress.status ?? {}, generation, nowMs)
    const configured =
      complaint === undefined
        ? ingressConditions.markTrue(begun, 'NetworkConfigured', nowMs)
        : ingressConditions.markFalse(
            begun,
            'NetworkConfigured',
            'SecretNotUsable',
            complaint,
            nowMs,
          )
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

  gone(key) {
    tracker.forget(key)
    return {}
  },

  connect: (wake: (key: ObjectKey) => void) => link.onAcknowledged(wake),
})

function secretComplaint({ spec }: Ingress, read: Reader): string | undefined {
  for (const { hosts = [], secretNamespace: namespace, secretName: name } of spec.tls ?? []) {
    const secret = read.get(Secret, { namespace, name })
    const content = secret ? tlsContent(secret) : 'there is no such Secret'
    if (typeof content === 'string')
      return `Secret ${namespace}/${name} for TLS of ${hosts.join(', ')}: ${content}`
  }
  return undefined
}

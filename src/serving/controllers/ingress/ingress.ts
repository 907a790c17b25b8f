/**
 * Ingress ("KIngress"): reports that the gateway routes by it. There is nothing to create:
 * the gateway learns the same objects through the feed, and its acknowledgement of exactly this form is what Ready
 * means. So "Service is Ready" says that traffic is really switched.
 */
import { keyOf, keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved } from '../../../knative/conditions.ts'
import { Ingress, ingressConditions, type IngressStatus } from '../../api/ingress.ts'
import { tlsContent, tlsProblem, type TlsProblem } from '../certificate/tls-secret.ts'
import { createTracker } from '../../../knative/tracker.ts'
import type { GatewayLink } from './feed-client.ts'
import { ingressHash } from './snapshot.ts'

export interface World {
  readonly ingress: Ingress
  /** The gateway routes by the ingress as it is stored now. */
  readonly acknowledged: boolean
  /** Secrets that it names for TLS. */
  readonly secrets?: readonly TlsUse[] | undefined
}

interface TlsUse {
  readonly key: ObjectKey
  readonly hosts: readonly string[]
  readonly secret: Secret | undefined
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
      secrets: tls.map(({ hosts = [], secretNamespace: namespace, secretName: name }) => {
        const key = { namespace, name }
        return { key, hosts, secret: read.get(Secret, key) }
      }),
    }
  },

  plan({ ingress, acknowledged, secrets = [] }, nowMs) {
    const { generation = 0 } = ingress.metadata
    const begun = ingressConditions.begin(ingress.status ?? {}, generation, nowMs)
    const complaint = secretComplaint(secrets, nowMs)
    const configured =
      complaint === undefined
        ? ingressConditions.markTrue(begun, 'NetworkConfigured', nowMs)
        : ingressConditions.markFalse(
            begun,
            'NetworkConfigured',
            complaint.reason,
            complaint.message,
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
    return { status: finish(status, ingress.status, generation, nowMs), ...again(secrets, nowMs) }
  },

  gone(key) {
    tracker.forget(key)
    return {}
  },

  connect: (wake: (key: ObjectKey) => void) => link.onAcknowledged(wake),
})

function secretComplaint(secrets: readonly TlsUse[], nowMs: number): TlsProblem | undefined {
  for (const { key, hosts, secret } of secrets) {
    const problem = tlsProblem(secret, nowMs)
    if (problem) {
      const message = `Secret ${keyText(key)} for TLS of ${hosts.join(', ')}: ${problem.message}`
      return { reason: problem.reason, message }
    }
  }
  return undefined
}

/** When the next certificate begins or ends to be valid. */
function again(secrets: readonly TlsUse[], nowMs: number): Pick<Plan, 'requeueAfterMs'> {
  const nextMs = Math.min(
    ...secrets.flatMap(({ secret }) => {
      const content = secret && tlsContent(secret)
      if (!content || typeof content === 'string') return []
      return [content.notBeforeMs, content.notAfterMs].filter((atMs) => atMs > nowMs)
    }),
  )
  return nextMs === Infinity ? {} : { requeueAfterMs: Math.min(nextMs - nowMs, dayMs) }
}

const dayMs = 24 * 3_600_000

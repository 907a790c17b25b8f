/**
 * DomainMapping: makes sure that its namespace may use the domain, and makes the KIngress that leads the domain to what
 * it maps (upstream: pkg/reconciler/domainmapping).
 */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { semanticallyEqual } from '../../../kube/controller/difference.ts'
import type { Apply, Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isObserved } from '../../../knative/conditions.ts'
import { Certificate } from '../../api/certificate.ts'
import { ClusterDomainClaim } from '../../api/cluster-domain-claim.ts'
import { configNetwork, type NetworkConfig } from '../../api/config/network.ts'
import {
  DomainMapping,
  domainMappingConditions as conditions,
  type DomainMappingStatus,
} from '../../api/domain-mapping.ts'
import { Ingress } from '../../api/ingress.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { hostsOf, ownerText } from '../ingress/host-owner.ts'
import { applyIngress, mergedIngress } from '../route/ingress.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { desiredIngress, ingressName } from './ingress.ts'
import { addressableKinds, referredKind, resolveReference, type Reference } from './reference.ts'
import { domainTls } from './tls.ts'

export interface World {
  readonly mapping: DomainMapping
  readonly claim: ClusterDomainClaim | undefined
  readonly reference: Reference
  readonly ingress: Ingress | undefined
  /** The KIngress of another that has the domain already, while there is none of the mapping's own. */
  readonly rival?: Ingress | undefined
  /** Of the mapping's name, whoever made it. */
  readonly certificate?: Certificate | undefined
  readonly network: NetworkConfig
}

export const domainMappingReconciler = (
  readConfig: ReadConfig,
): Reconciler<DomainMapping, World> => {
  const tracker = createTracker()
  return {
    name: 'domainmapping-controller',
    kind: DomainMapping,
    finalizer: 'domainmappings.serving.knative.dev',
    watches: [
      { kind: Ingress, wake: 'owner' },
      { kind: Ingress, wake: (changed) => tracker.observers(changed) },
      { kind: Certificate, wake: 'owner' },
      ...addressableKinds.map((kind) => ({
        kind,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      {
        kind: ClusterDomainClaim,
        wake: ({ metadata }, read) =>
          read
            .list(DomainMapping, '')
            .filter((mapping) => mapping.metadata.name === metadata.name)
            .map(keyOf),
      },
      watchConfigs(DomainMapping, configNetwork),
    ],

    observe(mapping, read) {
      const key = keyOf(mapping)
      const { name, namespace } = key
      const { ref = {} } = mapping.spec
      const kind = referredKind(ref)
      // The port is that of the core Service of the same name.
      const names = kind ? [kind.kind, 'Service'] : []
      const ingress = read.get(Ingress, { namespace, name: ingressName(name) })
      const rival = ingress
        ? undefined
        : read.list(Ingress, '').find((one) => hostsOf(one).includes(name))
      tracker.track(key, [
        ...names.map((one) => ({ kind: one, namespace, name: ref.name ?? '' })),
        ...(rival ? [{ kind: Ingress.kind, ...keyOf(rival) }] : []),
      ])
      return {
        mapping,
        claim: read.get(ClusterDomainClaim, { namespace: '', name }),
        reference: resolveReference(ref, namespace, read),
        ingress,
        rival,
        certificate: read.get(Certificate, { namespace, name }),
        network: readConfig(read, configNetwork),
      }
    },

    plan(world, nowMs) {
      const { mapping } = world
      const { generation = 0 } = mapping.metadata
      const begun = conditions.begin(mapping.status ?? {}, generation, nowMs)
      const decision = decide(world, begun, nowMs)
      const finished = (status: DomainMappingStatus) =>
        finish(status, mapping.status, generation, nowMs)
      return {
        ...decision,
        status: finished(decision.status),
        ...(!world.claim && {
          statusOnFailure: (refusal) =>
            finished(claimFailed(decision.status, refusal.message, nowMs)),
        }),
      }
    },

    finalize({ mapping, claim, network }) {
      const { uid } = claim?.metadata ?? {}
      const ours =
        network.autocreateClusterDomainClaims &&
        claim?.spec.namespace === mapping.metadata.namespace
      return {
        ...(claim &&
          ours && {
            delete: [{ kind: ClusterDomainClaim, key: keyOf(claim), ...(uid && { uid }) }],
          }),
        done: true,
      }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

type Decision = Plan & { readonly status: DomainMappingStatus }

function decide(world: World, begun: DomainMappingStatus, nowMs: number): Decision {
  const { mapping, claim, reference, ingress, rival, certificate, network } = world
  const { name, namespace = '' } = mapping.metadata
  const tls = domainTls(mapping, network, certificate, begun, nowMs)
  const url = `${tls.scheme ?? network.defaultExternalScheme}://${name}`
  let status: DomainMappingStatus = { ...tls.status, url, address: { url } }
  if (!isObserved(mapping)) status = notConfigured(status, nowMs)
  if (claim ? claim.spec.namespace !== namespace : !network.autocreateClusterDomainClaims)
    return {
      status: conditions.markFalse(
        status,
        'DomainClaimed',
        'DomainAlreadyClaimed',
        'The domain name is already in use by another DomainMapping',
        nowMs,
      ),
      error: new Error(
        claim
          ? `namespace "${namespace}" does not own cluster domain claim for "${name}"`
          : `no ClusterDomainClaim found for domain "${name}" (and autocreate-cluster-domain-claims property is not true)`,
      ),
    }
  if (rival) {
    const message = `The domain name is already in use by ${ownerText(rival)}`
    return {
      status: conditions.markFalse(status, 'DomainClaimed', 'DomainAlreadyClaimed', message, nowMs),
      error: new Error(message),
    }
  }
  const apply: Apply[] = claim ? [] : [ourClaim(name, namespace)]
  status = conditions.markTrue(status, 'DomainClaimed', nowMs)
  if ('problem' in reference)
    return {
      apply,
      status: conditions.markFalse(
        status,
        'ReferenceResolved',
        'ResolveFailed',
        reference.problem,
        nowMs,
      ),
    }
  status = conditions.markTrue(status, 'ReferenceResolved', nowMs)
  const wanted = desiredIngress(mapping, reference, tls.tls, network)
  const ready =
    ingress &&
    isObserved(ingress) &&
    semanticallyEqual(mergedIngress(ingress, wanted).spec, ingress.spec) &&
    conditionOf(ingress.status, 'Ready')
  return {
    apply: [...apply, ...tls.apply, applyIngress(wanted)],
    delete: tls.obsolete,
    status: ready
      ? conditions.mirror(status, 'IngressReady', ready, nowMs)
      : notConfigured(status, nowMs),
  }
}

const notConfigured = (status: DomainMappingStatus, nowMs: number): DomainMappingStatus =>
  conditions.markUnknown(
    status,
    'IngressReady',
    'IngressNotConfigured',
    'Ingress has not yet been reconciled.',
    nowMs,
  )

const claimFailed = (
  status: DomainMappingStatus,
  why: string,
  nowMs: number,
): DomainMappingStatus =>
  conditions.markFalse(
    status,
    'DomainClaimed',
    'DomainClaimFailed',
    `failed to create ClusterDomainClaim: ${why}`,
    nowMs,
  )

const ourClaim = (name: string, namespace: string): Apply => ({
  kind: ClusterDomainClaim,
  desired: {
    apiVersion: apiVersionOf(ClusterDomainClaim),
    kind: ClusterDomainClaim.kind,
    metadata: { name },
    spec: { namespace },
  } as ClusterDomainClaim,
  // Whoever was first has it.
  merge: (existing) => existing,
})

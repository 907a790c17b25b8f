/**
 * The k8s Services under a Route's name and its tags' names, which lead whoever calls them into the ingress.
 * A user's label on one hides its group from the outside.
 */
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerRef, type KubeObject } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import type { Ingress } from '../../api/ingress.ts'
import { clusterLocal, label } from '../../api/names.ts'
import type { Route } from '../../api/route.ts'
import { without } from '../copied-metadata.ts'
import type { GroupHosts } from './hosts.ts'
import { localHost } from './hosts.ts'

/** True when the user wants the group of this Service served only inside. */
export const isHidden = (service: CoreService | undefined): boolean =>
  service?.metadata.labels?.[label.visibility] === clusterLocal

const http2 = { name: 'http2', port: 80, targetPort: 80, protocol: 'TCP' }

/** The one load balancer that the KIngress names, the private one preferred. */
function balancerOf(ingress: Ingress | undefined) {
  const { privateLoadBalancer, publicLoadBalancer } = ingress?.status ?? {}
  const list = privateLoadBalancer?.ingress ?? publicLoadBalancer?.ingress ?? []
  return list.length === 1 ? list[0] : undefined
}

/**
 * The Service of a group, and Endpoints where it stands for an address. `existing` is kept as it is where the KIngress
 * has nothing (more) to say.
 */
export function placeholder(
  route: Route,
  group: GroupHosts,
  ingress: Ingress | undefined,
  existing: CoreService | undefined,
): readonly Apply[] {
  const balancer = balancerOf(ingress)
  const externalName = (host: string) => ({
    type: 'ExternalName',
    externalName: host,
    sessionAffinity: 'None',
    ports: [{ ...http2, appProtocol: 'kubernetes.io/h2c' }],
  })
  if (balancer?.ip)
    return [
      applyService(route, group, { type: 'ClusterIP', clusterIP: 'None', ports: [http2] }),
      applyEndpoints(route, group, balancer.ip),
    ]
  if (balancer?.domainInternal)
    return [applyService(route, group, externalName(balancer.domainInternal))]
  if (balancer?.domain) return [applyService(route, group, externalName(balancer.domain))]
  if (balancer?.meshOnly)
    return [applyService(route, group, { type: 'ClusterIP', ports: [{ ...http2, name: 'http' }] })]
  const { namespace = '' } = route.metadata
  const host = group.external[0] ?? localHost(group.name, namespace)
  return existing ? [] : [applyService(route, group, externalName(host))]
}

function metadataOf(route: Route, { name }: GroupHosts): KubeObject['metadata'] {
  const { namespace, labels, annotations } = route.metadata
  return {
    name,
    ...(namespace && { namespace }),
    labels: {
      ...without(labels, (key) => key === label.visibility),
      [label.route]: route.metadata.name,
    },
    annotations: { ...annotations },
    ownerReferences: [controllerRef(route)],
  }
}

function object<T extends KubeObject>(
  kind: Kind<T>,
  metadata: T['metadata'],
  rest: object,
): KubeObject {
  return { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata, ...rest }
}

function applyService(route: Route, group: GroupHosts, spec: object): Apply {
  const desired = object(CoreService, metadataOf(route, group), { spec })
  return {
    kind: CoreService,
    desired,
    merge: (existing) => ({
      ...existing,
      metadata: {
        ...existing.metadata,
        labels: { ...existing.metadata.labels, ...desired.metadata.labels },
        annotations: { ...existing.metadata.annotations, ...desired.metadata.annotations },
      },
      spec: mergedSpec((existing as CoreService).spec, spec),
    }),
    created: {
      type: 'Normal',
      reason: 'Created',
      message: `Created placeholder service "${group.name}"`,
    },
    createFailed: {
      type: 'Warning',
      reason: 'CreationFailed',
      message: `Failed to create placeholder service "${group.name}": `,
    },
  }
}

/** Keeps what the server filled in, unless the type changes: then nothing of the old fits. */
const mergedSpec = (existing: CoreService['spec'], spec: object): object =>
  'type' in spec && existing.type === spec.type ? { ...existing, ...spec } : spec

/** A Service that was given an address can't become headless: it has to be made anew. */
export const mustBeReplaced = (existing: CoreService, wanted: readonly Apply[]): boolean => {
  const desired = wanted[0]?.desired as CoreService | undefined
  const before = existing.spec.clusterIP
  return (
    desired?.spec.clusterIP === 'None' && before !== undefined && before !== '' && before !== 'None'
  )
}

function applyEndpoints(route: Route, group: GroupHosts, ip: string): Apply {
  return {
    kind: Endpoints,
    desired: object(Endpoints, metadataOf(route, group), {
      subsets: [{ addresses: [{ ip }], ports: [{ name: 'http2', port: 80, protocol: 'TCP' }] }],
    }),
  }
}

/** The KIngress of a Route: hosts, tags and splits for the data plane. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, type KubeObject, type StringMap } from '../../../kube/api/meta.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import { childName } from '../../../knative/child-name.ts'
import type { NetworkConfig } from '../../api/config/network.ts'
import {
  Ingress,
  type HttpOption,
  type IngressBackendSplit,
  type IngressPath,
  type IngressRule,
  type IngressTls,
} from '../../api/ingress.ts'
import { annotation, annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import type { Route } from '../../api/route.ts'
import { without } from '../copied-metadata.ts'
import type { GroupHosts } from './hosts.ts'
import { rolloutText, type Rollout } from './rollout.ts'
import { sharesOf, type Target, type Traffic } from './traffic.ts'

export interface IngressInput {
  readonly route: Route
  readonly traffic: Traffic
  readonly rollout: Rollout
  /** Hosts of each group of the traffic. */
  readonly hosts: ReadonlyMap<string, GroupHosts>
  /** Hosts with a certificate. */
  readonly tls?: readonly IngressTls[]
  readonly network: NetworkConfig
  /** Feature tag-header-based-routing. */
  readonly tagHeaders: boolean
  /** How a Revision is spoken to. */
  readonly protocolOf: (revision: string) => 'http1' | 'h2c'
}

export const ingressName = (route: string): string => childName(route, '')

export function desiredIngress(input: IngressInput): Ingress {
  const { route } = input
  const { name, namespace, labels } = route.metadata
  const httpOption = httpOptionOf(route, input.network)
  return {
    apiVersion: apiVersionOf(Ingress),
    kind: Ingress.kind,
    metadata: {
      name: ingressName(name),
      ...(namespace && { namespace }),
      labels: { ...labels, [label.route]: name, [label.routeNamespace]: namespace ?? '' },
      annotations: annotationsOf(input),
      ownerReferences: [controllerRef(route)],
    },
    spec: {
      ...(httpOption && { httpOption }),
      rules: rulesOf(input),
      ...(input.tls?.length && { tls: input.tls }),
    },
  }
}

/** Spec, labels and annotations are wholly the Route's. */
export const applyIngress = (desired: Ingress): Apply => ({
  kind: Ingress,
  desired,
  merge: (existing) => mergedIngress(existing as Ingress, desired),
  created: {
    type: 'Normal',
    reason: 'Created',
    message: `Created Ingress "${desired.metadata.name}"`,
  },
  createFailed: {
    type: 'Warning',
    reason: 'CreationFailed',
    message: `Failed to create Ingress: `,
  },
})

export const mergedIngress = (existing: Ingress, desired: Ingress): Ingress => ({
  ...existing,
  metadata: {
    ...existing.metadata,
    labels: desired.metadata.labels ?? {},
    annotations: desired.metadata.annotations ?? {},
  },
  spec: desired.spec,
})

const dropped: ReadonlySet<string> = new Set([
  annotation.lastApplied,
  ...annotationSpellings.ingressClass,
  annotationSpellings.certificateClass[1],
])

function annotationsOf({ route, traffic, rollout, hosts, network }: IngressInput): StringMap {
  const { annotations } = route.metadata
  const tags: Record<string, readonly string[]> = {}
  for (const tag of traffic.groups.keys()) {
    const group = hosts.get(tag)
    if (tag && group) tags[tag] = [...group.external, ...group.local]
  }
  return {
    ...without(annotations, (key) => dropped.has(key)),
    [annotation.ingressClass]:
      firstSpelling(annotations, annotationSpellings.ingressClass)?.value ?? network.ingressClass,
    [annotation.rollout]: rolloutText(rollout),
    ...(Object.keys(tags).length > 0 && { [annotation.tagToHost]: JSON.stringify(tags) }),
  }
}

/** Throws for an annotation that says neither enabled nor redirected. */
export function httpOptionOf(
  { metadata }: KubeObject,
  { httpProtocol }: NetworkConfig,
): HttpOption | undefined {
  const said = firstSpelling(metadata.annotations, annotationSpellings.httpProtocol)
  switch (said?.value.toLowerCase()) {
    case undefined:
      return httpProtocol === 'Disabled' ? undefined : httpProtocol
    case 'enabled':
      return 'Enabled'
    case 'redirected':
      return 'Redirected'
    default:
      throw new Error(`incorrect http-protocol annotation: ${said?.value}`)
  }
}

function rulesOf(input: IngressInput): readonly IngressRule[] {
  const rules: IngressRule[] = []
  for (const [tag, targets] of input.traffic.groups) {
    const group = input.hosts.get(tag)
    if (!group) continue
    const paths = pathsOf(input, tag, targets)
    rules.push({ hosts: group.local, visibility: 'ClusterLocal', http: { paths } })
    for (const host of group.external)
      rules.push({ hosts: [host], visibility: 'ExternalIP', http: { paths } })
  }
  return rules
}

function pathsOf(
  input: IngressInput,
  tag: string,
  targets: readonly Target[],
): readonly IngressPath[] {
  const splits = splitsOf(input, tag, targets)
  if (!input.tagHeaders) return [{ splits }]
  if (tag) return [{ splits, appendHeaders: { 'Knative-Serving-Tag': tag } }]
  const tagged: IngressPath[] = []
  for (const [other, group] of input.traffic.groups) {
    if (!other) continue
    tagged.push({
      headers: { 'Knative-Serving-Tag': { exact: other } },
      splits: splitsOf(input, other, group),
    })
  }
  return [...tagged, { splits, appendHeaders: { 'Knative-Serving-Default-Route': 'true' } }]
}

function splitsOf(
  { route, rollout, protocolOf }: IngressInput,
  tag: string,
  targets: readonly Target[],
): readonly IngressBackendSplit[] {
  const { namespace = '' } = route.metadata
  return targets
    .flatMap((target) => sharesOf(target, tag, rollout))
    .filter(({ percent }) => percent > 0)
    .map(({ revisionName, percent }) => ({
      serviceNamespace: namespace,
      serviceName: revisionName,
      servicePort: protocolOf(revisionName) === 'h2c' ? 81 : 80,
      percent,
      appendHeaders: {
        'Knative-Serving-Revision': revisionName,
        'Knative-Serving-Namespace': namespace,
      },
    }))
}

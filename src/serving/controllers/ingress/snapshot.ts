/**
 * What the gateway is told, as pure functions of the stored objects: an Ingress as its rules, a Revision with its
 * private Endpoints as a target with backends (gateway/feed.ts).
 */
import { createHash } from 'node:crypto'
import type { Endpoints } from '../../../kube/api/endpoints.ts'
import { keyOf, keyText } from '../../../kube/api/meta.ts'
import type { Ingress, IngressBackendSplit, IngressPath } from '../../api/ingress.ts'
import { dataPlaneAnnotations } from '../../api/data-plane-annotations.ts'
import { label } from '../../api/names.ts'
import type { Revision } from '../../api/revision.ts'
import type { Backend, IngressRoute, Path, RevisionTarget, Split } from '../../gateway/feed.ts'

/** Serving's own defaults, for Revisions that were stored without. */
const defaultTimeoutSeconds = 300

const hashes = new WeakMap<Ingress['spec'], string>()

/** Hex SHA-256 of spec, namespace and name: says which form of an ingress a data plane serves. */
export function ingressHash(ingress: Ingress): string {
  let hash = hashes.get(ingress.spec)
  if (hash === undefined) {
    const { namespace = '', name } = ingress.metadata
    hash = createHash('sha256')
      .update(JSON.stringify(ingress.spec))
      .update(namespace)
      .update(name)
      .digest('hex')
    hashes.set(ingress.spec, hash)
  }
  return hash
}

/** What the rules of an Ingress lead to, and which of its hosts others route. */
export interface IngressSurroundings {
  /** What the Service behind a split means. */
  readonly backend: (split: IngressBackendSplit) => SplitTarget
  /** True for a host (lower case) that another has taken over. */
  readonly taken: (host: string) => boolean
}

export type SplitTarget = Pick<Split, 'revision' | 'service' | 'host'>

/** A split's backend is the public Service of a Revision, which has the Revision's name. */
const revisionBehind = ({ serviceNamespace, serviceName }: IngressBackendSplit): SplitTarget => ({
  revision: `${serviceNamespace}/${serviceName}`,
})

export function ingressRoute(
  ingress: Ingress,
  { backend, taken }: IngressSurroundings = { backend: revisionBehind, taken: () => false },
): IngressRoute {
  const { rules = [], tls = [], httpOption } = ingress.spec
  const { creationTimestamp } = ingress.metadata
  const secured = new Set(
    httpOption === 'Redirected' ? tls.flatMap(({ hosts = [] }) => hosts.map(lower)) : [],
  )
  return {
    key: keyText(keyOf(ingress)),
    hash: ingressHash(ingress),
    ...(creationTimestamp && { createdAt: creationTimestamp }),
    rules: rules.flatMap((rule) => {
      const paths = (rule.http?.paths ?? []).map((path) => pathOf(path, backend))
      const { visibility = 'ExternalIP' } = rule
      const hosts = (rule.hosts ?? []).map(lower).filter((host) => !taken(host))
      const [redirected, plain] = [
        hosts.filter((host) => secured.has(host)),
        hosts.filter((host) => !secured.has(host)),
      ]
      return [
        ...(plain.length > 0 ? [{ hosts: plain, visibility, paths }] : []),
        ...(redirected.length > 0
          ? [{ hosts: redirected, visibility, paths, redirectToHttps: true }]
          : []),
      ]
    }),
  }
}

const lower = (host: string): string => host.toLowerCase()

function pathOf(
  { path, headers, rewriteHost, appendHeaders, splits }: IngressPath,
  backend: IngressSurroundings['backend'],
): Path {
  return {
    ...(path && { path }),
    ...(headers && { headers }),
    ...(rewriteHost && { rewriteHost }),
    ...(appendHeaders && { appendHeaders }),
    splits: splits.map((split) => ({
      ...backend(split),
      percent: splits.length === 1 ? split.percent || 100 : (split.percent ?? 0),
      ...(split.appendHeaders && { appendHeaders: split.appendHeaders }),
    })),
  }
}

export function revisionTarget(
  revision: Revision,
  endpoints: Endpoints | undefined,
): RevisionTarget {
  const { spec, metadata } = revision
  return {
    key: keyText(keyOf(revision)),
    service: metadata.labels?.[label.service] ?? '',
    configuration: metadata.labels?.[label.configuration] ?? '',
    protocol: speaksH2c(revision) ? 'h2c' : 'http1',
    containerConcurrency: spec.containerConcurrency ?? 0,
    timeoutMs: (spec.timeoutSeconds || defaultTimeoutSeconds) * 1000,
    responseStartTimeoutMs: (spec.responseStartTimeoutSeconds ?? 0) * 1000,
    idleTimeoutMs: (spec.idleTimeoutSeconds ?? 0) * 1000,
    ...dataPlaneAnnotations(metadata.annotations),
    backends: endpoints ? backends(endpoints) : [],
  }
}

const speaksH2c = ({ spec }: Revision): boolean =>
  spec.containers.some(({ ports = [] }) => ports.some(({ name }) => name === 'h2c'))

/** Ready addresses with the port that requests go to: the one named http or http2, else the first. */
function backends({ subsets = [] }: Endpoints): readonly Backend[] {
  const found: Backend[] = []
  for (const { addresses = [], ports = [] } of subsets) {
    const port = ports.find(({ name = '' }) => requestPorts.has(name)) ?? ports[0]
    if (!port) continue
    for (const { ip, targetRef } of addresses) found.push(backendOf(ip, port.port, targetRef))
  }
  return inOrder(found)
}

/** An address behind a Service; `pod` is what stands there, if it is known. */
export const backendOf = (
  host: string,
  port: number,
  pod: { readonly uid?: string; readonly name?: string } | undefined,
): Backend => ({
  host,
  port,
  pod: pod?.uid ?? pod?.name ?? '',
  ...(pod?.name && { podName: pod.name }),
})

/** Always the same order, so that what has not changed is not told again. */
export const inOrder = (backends: readonly Backend[]): readonly Backend[] =>
  backends.toSorted((a, b) => (a.host === b.host ? a.port - b.port : a.host < b.host ? -1 : 1))

const requestPorts = new Set(['http', 'http2', 'http1', 'h2c'])

/** Which groups, versions and resources the kinds make up: what discovery and OpenAPI are derived from. */
import { groupKind, servedVersionsOf, type KindDefinition } from '../api/kind.ts'
import type { Schema } from '../api/schema.ts'

export interface Subresource {
  readonly name: string
  /** Kind of its objects, of another group and version where they are given. */
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly verbs: readonly string[]
}

export interface ServedResource {
  readonly definition: KindDefinition
  readonly verbs: readonly string[]
  readonly subresources: readonly Subresource[]
}

export interface ServedVersion {
  readonly version: string
  readonly resources: readonly ServedResource[]
}

export interface ServedGroup {
  readonly group: string
  /** The preferred one, which storage uses, comes first. */
  readonly versions: readonly ServedVersion[]
}

/** One kind in one of its versions, with the name of its schema in OpenAPI. */
export interface ServedKind {
  readonly definition: KindDefinition
  readonly version: string
  /** `io.k8s.api.apps.v1.Deployment`, `dev.knative.serving.v1.Service`. */
  readonly name: string
  readonly schema: Schema
  /** Besides status and scale. */
  readonly subresources?: readonly Subresource[]
  /** True: it is answered and not stored, so it can only be created. */
  readonly createOnly?: boolean
}

const read = ['get', 'list', 'watch']
const write = ['create', 'delete', 'deletecollection', 'patch', 'update']
const verbs = [...write, ...read].toSorted()
const getPatchUpdate = ['get', 'patch', 'update']
/** By SPDY with POST, by WebSocket with GET. */
const connected = ['create', 'get']
const proxied = ['create', 'delete', 'get', 'patch', 'update']

const scale: Subresource = {
  name: 'scale',
  kind: 'Scale',
  group: 'autoscaling',
  version: 'v1',
  verbs: getPatchUpdate,
}

/** Subresources of Kubernetes' own kinds besides `status` and `scale`; clients look for them in discovery. */
const ownSubresources: Readonly<Record<string, readonly Subresource[]>> = {
  Namespace: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  ServiceAccount: [
    {
      name: 'token',
      kind: 'TokenRequest',
      group: 'authentication.k8s.io',
      version: 'v1',
      verbs: ['create'],
    },
  ],
  'CertificateSigningRequest.certificates.k8s.io': [
    { name: 'approval', kind: 'CertificateSigningRequest', verbs: getPatchUpdate },
  ],
  Node: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: proxied }],
  Service: [{ name: 'proxy', kind: 'ServiceProxyOptions', verbs: proxied }],
  Pod: [
    { name: 'attach', kind: 'PodAttachOptions', verbs: connected },
    { name: 'binding', kind: 'Binding', verbs: ['create'] },
    // kubectl drain evicts only where this entry says so.
    { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
    { name: 'ephemeralcontainers', kind: 'Pod', verbs: getPatchUpdate },
    { name: 'exec', kind: 'PodExecOptions', verbs: connected },
    { name: 'log', kind: 'Pod', verbs: ['get'] },
    { name: 'portforward', kind: 'PodPortForwardOptions', verbs: connected },
    { name: 'proxy', kind: 'PodProxyOptions', verbs: proxied },
  ],
}

/** All groups, in the order of discovery. */
export function servedGroups(kinds: readonly KindDefinition[]): readonly ServedGroup[] {
  const groups = new Map<string, Map<string, ServedResource[]>>()
  for (const definition of kinds) {
    const versions = groups.get(definition.group) ?? new Map<string, ServedResource[]>()
    groups.set(definition.group, versions)
    for (const version of servedVersionsOf(definition)) {
      const shown = definition.custom?.inVersion(version) ?? definition
      const resources = versions.get(version) ?? []
      resources.push({
        definition: shown,
        verbs: verbsOf(shown),
        subresources: subresourcesOf(shown),
      })
      versions.set(version, resources)
    }
  }
  return [...groups]
    .map(([group, versions]) => ({
      group,
      versions: [...versions]
        .map(([version, resources]) => ({ version, resources: resources.toSorted(byPlural) }))
        .toSorted((a, b) => compareVersions(a.version, b.version)),
    }))
    .toSorted(byGroup)
}

const byPlural = (a: ServedResource, b: ServedResource) =>
  a.definition.plural < b.definition.plural ? -1 : 1

/** Core first, then Kubernetes' own groups, then the others; otherwise as they come. */
export const byGroup = (a: { readonly group: string }, b: { readonly group: string }): number =>
  rank(a.group) - rank(b.group)

const rank = (group: string): number =>
  group === ''
    ? 0
    : group === 'apps'
      ? 1
      : group.includes('.') && !group.endsWith('.k8s.io')
        ? 3
        : 2

/** Namespaces are not deleted in bulk. */
const verbsOf = (definition: KindDefinition): readonly string[] =>
  definition.readOnly
    ? ['get', 'list']
    : groupKind(definition) === 'Namespace'
      ? verbs.filter((verb) => verb !== 'deletecollection')
      : verbs

function subresourcesOf(definition: KindDefinition): readonly Subresource[] {
  const own = definition.custom ? [] : (ownSubresources[groupKind(definition)] ?? [])
  return [
    ...own,
    ...(definition.subresources ?? []).map((each) => ({ ...each, kind: definition.kind })),
    ...(definition.scale ? [scale] : []),
    ...(definition.hasStatus
      ? [{ name: 'status', kind: definition.kind, verbs: getPatchUpdate }]
      : []),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

const form = /^v(\d+)(?:(alpha|beta)(\d+))?$/

/** Most stable first, then newest: v2, v1, v2beta1, v1beta2, v1alpha1, anything else. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [order(a), order(b)]
  for (const [i, value] of left.entries()) {
    const difference = (right[i] ?? 0) - value
    if (difference !== 0) return difference
  }
  return a < b ? -1 : a > b ? 1 : 0
}

function order(version: string): readonly number[] {
  const found = form.exec(version)
  if (!found) return [0, 0, 0]
  const [, major, stage, minor] = found
  const stability = stage === undefined ? 3 : stage === 'beta' ? 2 : 1
  return [stability, Number(major), Number(minor ?? 0)]
}

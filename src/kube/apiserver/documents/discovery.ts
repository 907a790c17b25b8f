/**
 * Discovery documents: which groups, versions and resources there are, in the old form (one
 * document a group version) and the aggregated one. Made from the kinds when first asked for, then kept.
 */
import { createHash } from 'node:crypto'
import { groupKind, type KindDefinition } from '../../api/kind.ts'
import {
  byGroup,
  servedGroups,
  type ServedGroup,
  type ServedResource,
  type ServedVersion,
} from '../served.ts'

export interface DiscoveryDocument {
  /** JSON text. */
  readonly body: string
  readonly contentType: string
  /** Quoted, upper-case hex SHA-512 of the body. */
  readonly etag: string
}

export interface Discovery {
  /**
   * The document at `/api`, `/apis`, `/apis/<group>`, `/api/v1` or `/apis/<group>/<version>`; undefined where
   * there is none. `accept` chooses the aggregated form at `/api` and `/apis`; answers there vary by it.
   */
  document(
    path: string,
    accept: string | undefined,
    serverAddress: string,
  ): DiscoveryDocument | undefined
}

/** `extra` are resources that are answered without being stored. */
export function createDiscovery(
  kinds: readonly KindDefinition[],
  extra: readonly ExtraResources[] = reviews,
): Discovery {
  const made = new Map<string, DiscoveryDocument>()
  let groups: readonly DiscoveryGroup[] | undefined

  return {
    document(path, accept, serverAddress) {
      const trimmed = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
      const aggregated =
        trimmed === '/api' || trimmed === '/apis' ? aggregatedVersion(accept) : undefined
      // Paths come from outside: only those that lead to a document are kept.
      const key = `${trimmed} ${aggregated ?? ''} ${trimmed === '/api' && !aggregated ? serverAddress : ''}`
      const known = made.get(key)
      if (known) return known
      groups ??= withExtra(servedGroups(kinds), extra)
      const content = aggregated
        ? aggregatedDocument(trimmed, aggregated, groups)
        : legacyDocument(trimmed, groups, serverAddress)
      if (content === undefined) return undefined
      const body = `${JSON.stringify(content)}\n`
      const document = {
        body,
        contentType: aggregated
          ? `application/json;g=apidiscovery.k8s.io;v=${aggregated};as=APIGroupDiscoveryList`
          : 'application/json',
        etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"`,
      }
      if (made.size < 1000) made.set(key, document)
      return document
    },
  }
}

/** Resources of a group version that are only created and answered. */
export interface ExtraResources {
  readonly group: string
  readonly version: string
  readonly resources: readonly {
    readonly plural: string
    readonly kind: string
    readonly namespaced: boolean
    readonly verbs: readonly string[]
  }[]
}

const review = (plural: string, kind: string, namespaced = false) => ({
  plural,
  kind,
  namespaced,
  verbs: ['create'],
})

/** Questions about who one is and what one may do. */
const reviews: readonly ExtraResources[] = [
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    resources: [
      review('selfsubjectreviews', 'SelfSubjectReview'),
      review('tokenreviews', 'TokenReview'),
    ],
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1beta1',
    resources: [review('selfsubjectreviews', 'SelfSubjectReview')],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    resources: [
      review('localsubjectaccessreviews', 'LocalSubjectAccessReview', true),
      review('selfsubjectaccessreviews', 'SelfSubjectAccessReview'),
      review('selfsubjectrulesreviews', 'SelfSubjectRulesReview'),
      review('subjectaccessreviews', 'SubjectAccessReview'),
    ],
  },
]

interface DiscoveryVersion extends ServedVersion {
  readonly extra: ExtraResources['resources']
}
interface DiscoveryGroup {
  readonly group: string
  readonly versions: readonly DiscoveryVersion[]
}

function withExtra(
  served: readonly ServedGroup[],
  extra: readonly ExtraResources[],
): readonly DiscoveryGroup[] {
  const groups = served.map(({ group, versions }) => ({
    group,
    versions: versions.map((version) => ({
      ...version,
      extra: extra
        .filter((each) => each.group === group && each.version === version.version)
        .flatMap(({ resources }) => resources),
    })),
  }))
  for (const { group, version, resources } of extra) {
    const known = groups.find((each) => each.group === group)
    if (!known)
      groups.push({ group, versions: [{ version, resources: [], extra: [...resources] }] })
    else if (!known.versions.some((each) => each.version === version))
      known.versions.push({ version, resources: [], extra: [...resources] })
  }
  return groups.toSorted(byGroup)
}

/** The aggregated form that the first suitable clause of an Accept header asks for. */
function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const clause of accept?.split(',') ?? []) {
    const [type, ...parameters] = clause.split(';').map((part) => part.trim())
    if (type !== 'application/json' && type !== 'application/*' && type !== '*/*') continue
    const has = (parameter: string) => parameters.includes(parameter)
    if (has('g=apidiscovery.k8s.io') && has('as=APIGroupDiscoveryList')) {
      if (has('v=v2')) return 'v2'
      if (has('v=v2beta1')) return 'v2beta1'
    } else if (!parameters.some((parameter) => parameter.startsWith('as='))) return undefined
  }
  return undefined
}

function aggregatedDocument(path: string, version: string, groups: readonly DiscoveryGroup[]) {
  const listed = groups.filter(({ group }) => (group === '') === (path === '/api'))
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: listed.map((each) => ({
      metadata: each.group
        ? { name: each.group, creationTimestamp: null }
        : { creationTimestamp: null },
      versions: each.versions.map((served) => ({
        version: served.version,
        resources: [
          ...served.resources.map((resource) =>
            aggregatedResource(resource, each.group, served.version),
          ),
          ...served.extra.map(({ plural, kind, namespaced, verbs }) => ({
            resource: plural,
            responseKind: { group: each.group, version: served.version, kind },
            scope: namespaced ? 'Namespaced' : 'Cluster',
            singularResource: kind.toLowerCase(),
            verbs,
          })),
        ],
        freshness: 'Current',
      })),
    })),
  }
}

function aggregatedResource(
  { definition, verbs, subresources }: ServedResource,
  group: string,
  version: string,
) {
  return {
    resource: definition.plural,
    responseKind: { group, version, kind: definition.kind },
    scope: definition.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: definition.singular,
    verbs,
    ...(definition.shortNames?.length && { shortNames: definition.shortNames }),
    ...(definition.categories?.length && { categories: definition.categories }),
    ...(subresources.length > 0 && {
      subresources: subresources.map((each) => ({
        subresource: each.name,
        responseKind: {
          group: each.group ?? group,
          version: each.version ?? version,
          kind: each.kind,
        },
        verbs: each.verbs,
      })),
    }),
  }
}

const gv = (group: string, version: string): string => (group ? `${group}/${version}` : version)

function legacyDocument(
  path: string,
  groups: readonly DiscoveryGroup[],
  serverAddress: string,
): unknown {
  const parts = path.split('/').slice(1)
  if (parts[0] === 'api') {
    if (parts.length === 1)
      return {
        kind: 'APIVersions',
        versions: ['v1'],
        serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
      }
    return parts.length === 2 ? resourceList(groups, '', parts[1]) : undefined
  }
  if (parts[0] !== 'apis' || parts.length > 3) return undefined
  const named = groups.filter(({ group }) => group !== '')
  const [, group, version] = parts
  if (group === undefined)
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: named.map(groupEntry) }
  if (version === undefined) {
    const found = named.find((each) => each.group === group)
    return found && { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(found) }
  }
  return resourceList(named, group, version)
}

function groupEntry({ group, versions }: DiscoveryGroup) {
  const listed = versions.map(({ version }) => ({ groupVersion: gv(group, version), version }))
  return { name: group, versions: listed, preferredVersion: listed[0] }
}

function resourceList(
  groups: readonly DiscoveryGroup[],
  group: string,
  version: string | undefined,
) {
  const found = groups
    .find((each) => each.group === group)
    ?.versions.find((each) => each.version === version)
  if (!found) return undefined
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: gv(group, found.version),
    resources: [
      ...found.resources.flatMap(legacyResources),
      ...found.extra.map(({ plural, kind, namespaced, verbs }) => ({
        name: plural,
        singularName: kind.toLowerCase(),
        namespaced,
        kind,
        verbs,
      })),
    ],
  }
}

function legacyResources({ definition, verbs, subresources }: ServedResource) {
  const { plural, singular, namespaced, kind, shortNames, categories } = definition
  return [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs,
      ...(shortNames?.length && { shortNames }),
      ...(categories?.length && { categories }),
      storageVersionHash: createHash('sha256')
        .update(`${groupKind(definition)}/${definition.version}`)
        .digest('base64')
        .slice(0, 12),
    },
    ...subresources.map((each) => ({
      name: `${plural}/${each.name}`,
      singularName: '',
      namespaced,
      ...(each.group !== undefined && { group: each.group, version: each.version }),
      kind: each.kind,
      verbs: each.verbs,
    })),
  ]
}

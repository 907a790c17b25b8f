/**
 * Definitions of the kinds that the server has itself but that come as CustomResourceDefinitions elsewhere (Knative's,
 * the Gateway API's): tools look for them to learn what is installed, and their upstream manifests may be applied. They
 * describe; what serves the kind is the server's own code (docs/decisions/017-cel-and-native-kinds.md).
 */
import { CustomResourceDefinition, withDefaults } from '../../api/custom-resource-definition.ts'
import { servedVersionsOf } from '../../api/kind.ts'
import type { Column, KindDefinition } from '../../api/kind.ts'
import { forbidden, qualifiedResource } from '../../api/status-error.ts'
import type { StatusError } from '../../api/status-error.ts'
import type { Machinery } from '../machinery.ts'
import { inVersion } from '../documents/table.ts'
import { createdMetadata } from '../metadata.ts'
import { storeKey } from '../registry.ts'
import { withStatus } from './definition-status.ts'

/** Makes the definitions that are not there yet. What users have applied over them stays. */
export function describeNativeKinds(machinery: Machinery): void {
  const { store, clock, random, registry, log } = machinery
  for (const kind of registry.kinds) {
    if (kind.flavour !== 'custom' || kind.custom) continue
    const name = qualifiedResource(kind)
    const key = storeKey(CustomResourceDefinition, { namespace: '', name })
    if (store.get(key)) continue
    const nowMs = clock.now()
    const metadata = createdMetadata(
      CustomResourceDefinition,
      { name, ...metadataOf(kind) },
      name,
      '',
      { random, nowMs },
    )
    const taken = { resources: new Set<string>(), kinds: new Set<string>() }
    const definition = withStatus(withDefaults({ ...describe(kind), metadata }), taken, nowMs)
    store.put(key, definition, 0).durable.catch((error: unknown) => {
      log.error('a write is not durable', { name, error })
    })
  }
}

const metadataOf = ({ group, definition }: KindDefinition) => ({
  ...(definition?.labels && { labels: { ...definition.labels } }),
  annotations: {
    ...definition?.annotations,
    'ebb.dev/served-by': 'ebb',
    ...(group.endsWith('.k8s.io') && {
      'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api',
    }),
  },
})

function describe(kind: KindDefinition): CustomResourceDefinition {
  const { group, plural, singular, shortNames, categories, namespaced } = kind
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: '' },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind: kind.kind,
        plural,
        singular,
        ...(shortNames?.length && { shortNames }),
        ...(categories?.length && { categories }),
      },
      versions: servedVersionsOf(kind).map((version) => ({
        name: version,
        served: true,
        storage: version === kind.version,
        ...deprecated(kind, version),
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: kind.description,
            'x-kubernetes-preserve-unknown-fields': true,
          },
        },
        subresources: { ...(kind.hasStatus && { status: {} }) },
        additionalPrinterColumns: inVersion(kind, version).columns.flatMap(described),
      })),
    },
  }
}

const deprecated = ({ versions }: KindDefinition, version: string) => {
  const { deprecationWarning } = versions?.find((each) => each.version === version) ?? {}
  return deprecationWarning === undefined ? {} : { deprecated: true, deprecationWarning }
}

/** Cells are computed here; of the columns that a path can tell, readers of the definition learn the path. */
function described({ name, type, description, priority, jsonPath = paths[name] }: Column) {
  return jsonPath === undefined
    ? []
    : {
        name,
        type: name === 'Age' ? 'date' : type,
        jsonPath,
        ...(description !== undefined && { description }),
        ...(priority !== undefined && { priority }),
      }
}

const paths: Readonly<Record<string, string>> = {
  URL: '.status.url',
  LatestCreated: '.status.latestCreatedRevisionName',
  LatestReady: '.status.latestReadyRevisionName',
  Ready: ".status.conditions[?(@.type=='Ready')].status",
  Reason: ".status.conditions[?(@.type=='Ready')].reason",
  Age: '.metadata.creationTimestamp',
}

/** Deleting such a definition would mean to delete all objects of a kind that goes on being served. */
export const nativeDeletion = (name: string): StatusError =>
  forbidden(
    CustomResourceDefinition,
    name,
    'this kind is part of the platform and cannot be removed; delete its objects instead',
  )

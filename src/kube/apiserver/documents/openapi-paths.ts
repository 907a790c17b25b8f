/**
 * The paths of an OpenAPI v3 document. Clients look for the PATCH operations: a `fieldValidation` parameter says that
 * the server validates, the media types say which patches a kind takes.
 */
import type { Json } from './openapi-components.ts'
import { operationsOf } from './openapi-subresources.ts'
import type { ServedKind, Subresource } from '../served.ts'

const query = (name: string, description: string, type = 'string') => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
})
const path = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string', uniqueItems: true },
})

const writing = [
  query('dryRun', '`All`: everything is checked, nothing is stored.'),
  query('fieldManager', 'Who changes the fields.'),
  query('fieldValidation', 'What happens with unknown fields: Ignore, Warn or Strict.'),
]
const selecting = [
  query('labelSelector', 'Only objects with such labels.'),
  query('fieldSelector', 'Only objects with such fields.'),
]
const listing = [
  ...selecting,
  query('limit', 'At most so many objects.', 'integer'),
  query('continue', 'Where the previous page ended.'),
  query('resourceVersion', 'How new the answer has to be.'),
  query('resourceVersionMatch', 'How `resourceVersion` is meant.'),
  query('timeoutSeconds', 'How long the request may last.', 'integer'),
  query('watch', 'Changes as they come, instead of a list.', 'boolean'),
  query('allowWatchBookmarks', 'Bookmarks in between.', 'boolean'),
  query('sendInitialEvents', 'The present state first.', 'boolean'),
]
const deleting = [
  query('dryRun', '`All`: nothing is deleted.'),
  query('gracePeriodSeconds', 'How long the object may take to end.', 'integer'),
  query('propagationPolicy', 'What becomes of dependents: Orphan, Background or Foreground.'),
]
const patching = [
  ...writing,
  query('force', 'Take over fields of other managers (apply only).', 'boolean'),
]

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1.'
const answer = (name: string) => ({
  description: 'OK',
  content: {
    'application/json': { schema: reference(name) },
    'application/yaml': { schema: reference(name) },
  },
})

/** All paths of the kinds of one group version. */
export function pathsOf(kinds: readonly ServedKind[]): Json {
  const paths: Record<string, unknown> = {}
  for (const served of kinds) {
    const { definition, version } = served
    const { group, plural, namespaced } = definition
    const root = group ? `/apis/${group}/${version}` : `/api/${version}`
    const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`
    const inNamespace = namespaced ? [path('namespace', 'Name of the namespace.')] : []
    const named = [path('name', `Name of the ${definition.kind}.`), ...inNamespace]
    if (served.createOnly) {
      paths[collection] = { parameters: inNamespace, post: creation(served) }
      continue
    }
    if (namespaced) paths[`${root}/${plural}`] = { get: list(served, 'ForAllNamespaces') }
    if (definition.readOnly) {
      paths[collection] = { parameters: inNamespace, get: list(served) }
      paths[`${collection}/{name}`] = {
        parameters: named,
        get: operation(served, 'read', 'get', {}),
      }
      continue
    }
    paths[collection] = {
      parameters: inNamespace,
      get: list(served),
      post: creation(served),
      delete: operation(served, 'delete collection of', 'deletecollection', {
        parameters: [...selecting, ...deleting],
        answers: `${meta}Status`,
      }),
    }
    paths[`${collection}/{name}`] = {
      parameters: named,
      ...objectOperations(served),
      delete: operation(served, 'delete', 'delete', {
        parameters: deleting,
        body: `${meta}DeleteOptions`,
        answers: `${meta}Status`,
      }),
    }
    if (definition.hasStatus)
      paths[`${collection}/{name}/status`] = {
        parameters: named,
        ...objectOperations(served, 'Status'),
      }
    if (definition.scale)
      paths[`${collection}/{name}/scale`] = {
        parameters: named,
        ...objectOperations({ ...served, name: 'io.k8s.api.autoscaling.v1.Scale' }, 'Scale', {
          group: 'autoscaling',
          kind: 'Scale',
          version: 'v1',
        }),
      }
    for (const subresource of served.subresources ?? [])
      if (subresource.name !== 'status' && subresource.name !== 'scale')
        paths[`${collection}/{name}/${subresource.name}`] = {
          parameters: named,
          ...subresourceOperations(served, subresource),
        }
  }
  return paths
}

function subresourceOperations(served: ServedKind, subresource: Subresource): Json {
  const { definition, version, name } = served
  const suffix = upperFirst(subresource.name)
  const operations: Record<string, Json> = {}
  for (const each of operationsOf(subresource, { ...definition, version, name })) {
    const { method, verb, action, component, group } = each
    const gvk = { group, kind: subresource.kind, version: each.version }
    const json = operation(served, verb, action, {
      parameters: [...(method === 'put' || method === 'patch' ? writing : []), ...each.parameters],
      suffix,
      gvk,
      ...(component !== undefined && { answers: component }),
      ...(component !== undefined && /^p(ut|ost)$/.test(method) && { body: component }),
    })
    const text = {
      '200': { description: 'OK', content: { '*/*': { schema: { type: 'string' } } } },
    }
    operations[method] = component === undefined ? { ...json, responses: text } : json
  }
  return operations
}

const creation = (served: ServedKind) =>
  operation(served, 'create', 'post', { parameters: writing, body: served.name, code: '201' })

interface Gvk {
  readonly group: string
  readonly kind: string
  readonly version: string
}

const gvkOf = ({ definition: { group, kind }, version }: ServedKind): Gvk => ({
  group,
  kind,
  version,
})

const list = (served: ServedKind, suffix = '') =>
  operation(served, 'list or watch', 'list', {
    parameters: listing,
    answers: `${served.name}List`,
    suffix,
  })

const objectOperations = (served: ServedKind, suffix = '', gvk = gvkOf(served)) => ({
  get: operation(served, 'read', 'get', { suffix, gvk }),
  put: operation(served, 'replace', 'put', { parameters: writing, body: served.name, suffix, gvk }),
  patch: operation(served, 'patch', 'patch', { parameters: patching, suffix, gvk }),
})

interface Details {
  readonly parameters?: readonly unknown[]
  /** Schema of the body. */
  readonly body?: string
  /** Schema of the answer; default the kind's own. */
  readonly answers?: string
  readonly code?: string
  readonly suffix?: string
  readonly gvk?: Gvk
}

function operation(served: ServedKind, verb: string, action: string, details: Details): Json {
  const { definition, version } = served
  const { body, suffix = '', gvk = gvkOf(served), parameters = [] } = details
  const scope = definition.namespaced && suffix !== 'ForAllNamespaces' ? 'Namespaced' : ''
  const group = groupName(definition.group)
  const tag = `${group}_${version}`
  return {
    tags: [tag],
    description: `${verb} ${definition.kind}${suffix ? ` (${suffix.toLowerCase()})` : ''}`,
    operationId: operationId(
      verb,
      upperFirst(group) + upperFirst(version),
      scope,
      definition.kind + suffix,
    ),
    parameters,
    ...(body && { requestBody: { content: { '*/*': { schema: reference(body) } } } }),
    ...(action === 'patch' && {
      requestBody: { required: true, content: patchContent(definition.flavour) },
    }),
    responses: {
      [details.code ?? '200']: answer(details.answers ?? served.name),
      '401': { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk,
  }
}

/** Generators of clients name their methods by this: `readAppsV1NamespacedDeploymentScale`. */
function operationId(verb: string, version: string, scope: string, kind: string): string {
  const [first = '', second = ''] = verb.split(' ')
  return `${first}${version}${second === 'collection' ? 'Collection' : ''}${scope}${kind}`
}

/** `rbacAuthorization` of `rbac.authorization.k8s.io`, `servingKnativeDev` of `serving.knative.dev`. */
const groupName = (group: string): string =>
  (group || 'core')
    .replace(/\.k8s\.io$/, '')
    .split(/[.-]/)
    .map((part, i) => (i === 0 ? part : upperFirst(part)))
    .join('')

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

function patchContent(flavour: 'builtin' | 'custom'): Json {
  const types = [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
    ...(flavour === 'builtin' ? ['application/strategic-merge-patch+json'] : []),
  ]
  return Object.fromEntries(types.map((type) => [type, { schema: reference(`${meta}Patch`) }]))
}

/**
 * The API server: Kubernetes' generic machinery over a store and a list of kinds. `handle` answers one request as
 * values; HTTP (`http.ts`) and the in-process client are adapters. Each verb is a file of its own beside this one.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { groupKind } from '../api/kind.ts'
import type { KindDefinition, UserInfo } from '../api/kind.ts'
import { rbacGroup } from '../api/policy-rule.ts'
import type { Api, ApiRequest, ApiResponse } from '../api/protocol.ts'
import { StatusError } from '../api/status-error.ts'
import { StoreUnavailable } from '../store/store-failure.ts'
import type { Store } from '../store/store.ts'
import { createAccess, type Access, type AccessOptions } from './access/access.ts'
import { issueToken } from './access/token-request.ts'
import { untilAnswered } from './verbs/awaiting.ts'
import { create } from './verbs/create.ts'
import { removeCollection } from './verbs/delete-collection.ts'
import { remove } from './verbs/delete.ts'
import { connectOptions } from './extension/connect.ts'
import { openExtensions } from './extension/extensions.ts'
import type { RequestMemory } from './extension/extensions.ts'
import { get } from './verbs/get.ts'
import { list } from './verbs/list.ts'
import { isKind, methodNotAllowed, resolveTarget, unsaved } from './machinery.ts'
import type { AdmissionPlugin, Machinery, Target } from './machinery.ts'
import { bootstrapNamespaces } from './namespaces.ts'
import { patch } from './verbs/patch.ts'
import { bind, evict } from './verbs/pod-subresources.ts'
import { Registry, storePrefix } from './registry.ts'
import { review } from './access/reviews.ts'
import type { ResourcePath } from './http/request-path.ts'
import { serviceAddresses } from './service-addresses.ts'
import { update } from './verbs/update.ts'
import { limitRanges } from './limits/limit-ranges.ts'
import { bootstrapPriorityClasses, priorities } from './limits/priority.ts'
import { answerView, type UsageSource } from './views.ts'
import { watch } from './verbs/watch.ts'

export type { AdmissionPlugin } from './machinery.ts'

export interface ApiServerOptions {
  readonly store: Store
  readonly kinds: readonly KindDefinition[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly admission?: readonly AdmissionPlugin[]
  /** PEM of the certificate authority, put into ConfigMap `kube-root-ca.crt` of each namespace. */
  readonly rootCA?: string
  /** Who measures what pods and the machine use, for metrics.k8s.io. */
  readonly usage?: UsageSource
  /** Keys, issuers and whom else to believe. */
  readonly access?: AccessOptions
}

/** Dispose to stop following the store. */
export interface ApiServer extends Api, Disposable {
  /** All served kinds, for discovery, OpenAPI and tables; another array when a custom kind has come or gone. */
  readonly kinds: readonly KindDefinition[]
  servesGroupVersion(group: string, version: string): boolean
  /** Asks webhooks and policies about a connection into an object. Throws their refusal. */
  admitConnect(path: ResourcePath, query: URLSearchParams, user: UserInfo): Promise<void>
  /** How many objects of a resource there are, in one namespace or in all (''). */
  count(group: string, resource: string, namespace: string): number
  /** Who is who, and who may do what. */
  readonly access: Access
  /** The kind that serves `resource` (plural) in this group and version, if any. */
  find(group: string, version: string, resource: string): KindDefinition | undefined
}

/** Makes the server, and in an empty store the first namespaces. Throws when two kinds have one name. */
export function createApiServer(options: ApiServerOptions): ApiServer {
  const registry = new Registry(options.kinds)
  const own = registry.byKind('', 'Service') ? [serviceAddresses(options.store)] : []
  const access = createAccess({
    ...options.access,
    store: options.store,
    clock: options.clock,
    random: options.random,
    log: options.log.child({ part: 'access' }),
    rootCA: options.rootCA ?? '',
    servesRoles: registry.byKind(rbacGroup, 'ClusterRole') !== undefined,
  })
  const machinery: Machinery = {
    access,
    store: options.store,
    registry,
    clock: options.clock,
    random: options.random,
    log: options.log,
    admission: Map.groupBy(
      [...own, ...access.admission, ...limitRanges, priorities, ...(options.admission ?? [])],
      ({ kind }) => groupKind(kind),
    ),
    rootCA: options.rootCA ?? '',
    get extensions() {
      return extensions
    },
  }
  const extensions = openExtensions(machinery)
  bootstrapNamespaces(machinery)
  bootstrapPriorityClasses(machinery)
  const server: ApiServer = {
    get kinds() {
      return registry.kinds
    },
    count: (group, plural, namespace) =>
      options.store.count(storePrefix({ group, plural }, namespace === '' ? undefined : namespace)),
    servesGroupVersion: (group, version) => registry.servesGroupVersion(group, version),
    async admitConnect(path, query, user) {
      const options = extensions?.isAsking ? connectOptions(path, query) : undefined
      if (!options) return
      const { group, version, resource, subresource, namespace, name } = path
      const place = { group, version, resource, subresource, namespace, name }
      const request: ApiRequest = { verb: 'create', ...place, options: {}, user, durable: true }
      const memory: RequestMemory = {}
      await untilAnswered(() => {
        const target = resolveTarget(machinery, request, memory)
        extensions?.validate(target, 'CONNECT', options)
      })
    },
    access,
    find: (group, version, resource) => registry.find(group, version, resource)?.kind,
    handle: async (request) => {
      try {
        const answered =
          review(request, access) ??
          answerView(request, options.usage, (core) => server.handle(core))
        if (answered) return await answered
        const memory: RequestMemory = {}
        return await untilAnswered(() => {
          const parts = extensions ? extensions.repeatable(machinery, memory) : machinery
          const target = resolveTarget(parts, request, memory)
          return target.ended && extensions ? extensions.run(target, dispatch) : dispatch(target)
        })
      } catch (thrown) {
        if (thrown instanceof StatusError && thrown.code < 500) throw thrown
        // The store reports its disk once itself; every write meanwhile would only repeat it.
        if (thrown instanceof StoreUnavailable) throw unsaved(thrown)
        options.log.error('a request failed', { request: summary(request), error: thrown })
        throw StatusError.from(thrown)
      }
    },
    [Symbol.dispose]: () => {
      for (const part of [...own, access]) part[Symbol.dispose]()
      extensions?.[Symbol.dispose]()
    },
  }
  return server
}

function dispatch(target: Target): Promise<ApiResponse> | ApiResponse {
  const { request, name, subresource, kind } = target
  switch (request.verb) {
    case 'get':
      return get(target)
    case 'list':
      return list(target)
    case 'watch':
      return watch(target)
    case 'create':
      if (subresource === 'binding' && isKind(kind, '', 'Pod')) return bind(target)
      if (subresource === 'eviction' && isKind(kind, '', 'Pod')) return evict(target)
      if (subresource === 'token' && isKind(kind, '', 'ServiceAccount'))
        return issueToken(target, target.machinery.access.tokens)
      if (subresource !== '') throw methodNotAllowed()
      return create(target)
    case 'update':
      return requireName(name) ?? update(target)
    case 'patch':
      return requireName(name) ?? patch(target)
    case 'delete':
      return requireName(name) ?? remove(target)
    case 'deletecollection':
      return removeCollection(target)
  }
}

function requireName(name: string): undefined {
  if (name === '') throw methodNotAllowed()
  return undefined
}

const summary = ({ verb, group, resource, subresource, namespace, name }: ApiRequest) =>
  `${verb} ${group || 'core'}/${resource}${subresource ? `/${subresource}` : ''} ${namespace ?? ''}/${name ?? ''}`

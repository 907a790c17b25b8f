/**
 * The `Client` over the `Api` seam. In process the Api is the API server itself and objects pass by reference; over
 * HTTPS it is `node/http-api.ts`. Runs in browsers too.
 */
import { apiVersionOf, type Kind, type UserInfo } from '../api/kind.ts'
import { keyOf, type KubeObject, type ObjectKey } from '../api/meta.ts'
import type {
  Api,
  ApiRequest,
  ApiResponse,
  ObjectList,
  RequestOptions,
  Verb,
  WatchEvent,
} from '../api/protocol.ts'
import { StatusError } from '../api/status-error.ts'
import type { Client } from './client.ts'

export interface ClientOptions {
  /** Whom the requests are from. Over HTTPS the credential decides instead. */
  readonly user: UserInfo
  /** True: a write answers only after it is durable. Controllers say false: they would redo a lost write. */
  readonly durable: boolean
}

/** The client with the rare subresources that are neither status nor a patch. */
export interface TypedClient extends Client {
  /**
   * Writes `body` to a subresource by POST (`create`: `binding`, `eviction`, `token`) or PUT (`update`: `finalize`,
   * `scale`). Answers the server's body.
   */
  subresource(
    verb: 'create' | 'update',
    kind: Kind,
    key: ObjectKey,
    name: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<unknown>
}

/** A client of `api`. Refusals are thrown as StatusError. */
export function typedClient(api: Api, { user, durable }: ClientOptions): TypedClient {
  const request = (
    verb: Verb,
    kind: Kind,
    key: Partial<ObjectKey>,
    rest: Partial<ApiRequest> = {},
  ): Promise<ApiResponse> =>
    api.handle({
      verb,
      group: kind.group,
      version: kind.version,
      resource: kind.plural,
      ...(kind.namespaced && key.namespace && { namespace: key.namespace }),
      ...(key.name && { name: key.name }),
      options: {},
      user,
      durable,
      ...rest,
    })

  const one = async <T extends KubeObject>(response: Promise<ApiResponse>): Promise<T> => {
    const { body } = await response
    if (isObject(body)) return body as T
    throw new StatusError('InternalError', 'the server answered without an object')
  }

  return {
    get: (kind, key) => one(request('get', kind, key)),

    async list<T extends KubeObject>(kind: Kind<T>, namespace: string, options = {}) {
      const { body } = await request('list', kind, { namespace }, { options })
      return typedList(kind, body)
    },

    async watch<T extends KubeObject>(
      kind: Kind<T>,
      namespace: string,
      options: RequestOptions,
      signal: AbortSignal,
    ) {
      const { events } = await request('watch', kind, { namespace }, { options, signal })
      if (!events)
        throw new StatusError('InternalError', 'the server answered a watch without events')
      return events as AsyncIterable<WatchEvent<T>>
    },

    create: (kind, object, options = {}) => {
      const { namespace } = keyOf(object)
      return one(request('create', kind, { namespace }, { options, body: object }))
    },

    update: (kind, object, options = {}) =>
      one(request('update', kind, keyOf(object), { options, body: object })),

    updateStatus: (kind, object) =>
      one(request('update', kind, keyOf(object), { subresource: 'status', body: object })),

    patch: (kind, key, { type, body, subresource }, options = {}) =>
      one(
        request('patch', kind, key, {
          options,
          patchType: type,
          body,
          ...(subresource && { subresource }),
        }),
      ),

    async delete(kind, key, options = {}) {
      await request('delete', kind, key, { options })
    },

    async subresource(verb, kind, key, name, body) {
      return (await request(verb, kind, key, { subresource: name, body })).body
    },
  }
}

const isObject = (body: unknown): body is KubeObject =>
  typeof body === 'object' && body !== null && 'metadata' in body

/** Items of built-in kinds come without apiVersion and kind, as Kubernetes sends them; our callers rely on both. */
function typedList<T extends KubeObject>(kind: Kind<T>, body: unknown): ObjectList<T> {
  const list = body as ObjectList<T>
  if (!Array.isArray(list?.items))
    throw new StatusError('InternalError', `the server answered no list of ${kind.plural}`)
  if (list.items.every((item) => item.kind !== undefined)) return list
  const type = { apiVersion: apiVersionOf(kind), kind: kind.kind }
  return { ...list, items: list.items.map((item) => (item.kind ? item : { ...item, ...type })) }
}

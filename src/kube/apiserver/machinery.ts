/** What every verb is given: the server's parts, and the request resolved to a kind, a version and a place. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import { apiVersionOf } from '../api/kind.ts'
import type { AdmissionContext, CustomRules, KindDefinition } from '../api/kind.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import type { ApiRequest, ApiResponse } from '../api/protocol.ts'
import { StatusError, badRequest, notFound } from '../api/status-error.ts'
import { StoreUnavailable } from '../store/store-failure.ts'
import type { Store, Write } from '../store/store.ts'
import type { Access } from './access/access.ts'
import type { Extensions, RequestMemory } from './extension/extensions.ts'
import type { Registry, ServedKind } from './registry.ts'
import { storeKey } from './registry.ts'

/** Runs after the kind's own `admit`, in the order given. Answers the object to store or throws a StatusError. */
export interface AdmissionPlugin {
  /** `*` for both: all kinds of CustomResourceDefinitions. */
  readonly kind: { readonly group: string; readonly kind: string }
  admit(object: KubeObject, context: AdmissionContext): KubeObject
}

export interface Machinery {
  readonly store: Store
  readonly registry: Registry
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** By `groupKind`. */
  readonly admission: ReadonlyMap<string, readonly AdmissionPlugin[]>
  readonly rootCA: string
  readonly access: Access
  /** What the API is extended by: custom kinds, webhooks, policies. Absent where their kinds are not served. */
  readonly extensions?: Extensions | undefined
}

/** A request that names something we serve. */
export interface Target extends ServedKind {
  readonly machinery: Machinery
  readonly request: ApiRequest
  /** '' for cluster-scoped kinds, and for all namespaces. */
  readonly namespace: string
  /** '' for collections. */
  readonly name: string
  readonly subresource: string
  /** Texts for `Warning` headers, without repetition. */
  readonly warnings: string[]
  readonly warn: (text: string) => void
  /** What has been asked outside for this request, kept from one run of the verb to the next (`awaiting.ts`). */
  readonly memory: RequestMemory
}

/** Finds what a request is about. Throws NotFound as Kubernetes does for a resource that is not served. */
export function resolveTarget(
  machinery: Machinery,
  request: ApiRequest,
  memory: RequestMemory = {},
): Target {
  const served = machinery.registry.find(request.group, request.version, request.resource)
  if (!served) throw unknownResource()
  const namespace = request.namespace ?? ''
  const name = request.name ?? ''
  if (!served.kind.namespaced && namespace !== '') throw unknownResource()
  // Keys are joined by slashes: a slash inside a segment would name another object.
  if (namespace.includes('/'))
    throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, namespace)
  if (name.includes('/')) throw notFound(served.kind, name)
  if (served.kind.namespaced && namespace === '' && name !== '')
    throw badRequest('an empty namespace may not be set when a resource name is provided')
  const warnings: string[] = []
  const warn = (text: string): void => {
    if (!warnings.includes(text)) warnings.push(text)
  }
  if (served.served?.deprecationWarning) warn(served.served.deprecationWarning)
  return {
    ...served,
    machinery,
    request,
    namespace,
    name,
    subresource: request.subresource ?? '',
    warnings,
    warn,
    memory,
  }
}

/** 404 for a resource or subresource that nobody serves. */
export const unknownResource = (): StatusError =>
  new StatusError('NotFound', 'the server could not find the requested resource')

export const methodNotAllowed = (): StatusError =>
  new StatusError(
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
  )

/** The stored object that the request names. Throws NotFound. */
export function storedObject(target: Target): KubeObject {
  const object = readStored(target.machinery, target.kind, target)
  if (!object) throw notFound(target.kind, target.name)
  return object
}

export const readStored = (
  { store }: Machinery,
  kind: { readonly group: string; readonly plural: string; readonly custom?: CustomRules },
  key: ObjectKey,
): KubeObject | undefined => {
  const stored = store.get(storeKey(kind, key))
  return stored && kind.custom ? kind.custom.upgrade(stored) : stored
}

/** A stored object as the request's version shows it. */
export const present = ({ served }: ServedKind, object: KubeObject): KubeObject =>
  served ? served.fromStorage(object) : object

/** The answer to a successful request for one object. */
export const answer = (target: Target, code: number, object: KubeObject): ApiResponse =>
  answerBody(target, code, present(target, object))

export const answerBody = ({ warnings }: Target, code: number, body: unknown): ApiResponse =>
  warnings.length > 0 ? { code, body, warnings } : { code, body }

/** Waits until the writes survive a crash, when the caller asked for it. Throws what `unsaved` makes of a failure. */
export async function settled(target: Target, ...writes: readonly Write[]): Promise<void> {
  const all = Promise.all(writes.map((write) => write.durable))
  if (!target.request.durable) {
    // A controller's write: its failure is the store's to report, and must not be an unhandled rejection.
    all.catch((thrown: unknown) => {
      target.machinery.log.error('a write is not durable', {
        resource: target.kind.plural,
        error: thrown,
      })
    })
    return
  }
  try {
    await all
  } catch (thrown) {
    throw unsaved(thrown)
  }
}

/**
 * What the caller of a write is told that the store did not take: 503 with the store's own words where the disk is
 * full or fails, for then waiting or tidying helps. Reads go on.
 */
export function unsaved(thrown: unknown): StatusError {
  if (thrown instanceof StatusError) return thrown
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  const text = `the change could not be saved to disk: ${why}`
  return thrown instanceof StoreUnavailable
    ? new StatusError('ServiceUnavailable', text, {}, { cause: thrown })
    : new StatusError('InternalError', `Internal error occurred: ${text}`, {}, { cause: thrown })
}

export const apiVersionOfTarget = ({ kind, version }: ServedKind): string =>
  apiVersionOf({ group: kind.group, version })

/** True for one of Kubernetes' own kinds, by name. */
export const isKind = (kind: KindDefinition, group: string, name: string): boolean =>
  kind.kind === name && kind.group === group

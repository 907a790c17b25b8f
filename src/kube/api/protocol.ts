/**
 * The seam between clients and the API server: one request, one response, as values. `kube/apiserver` answers
 * it, `kube/client` asks it; HTTP is an adapter on either side, the in-process transport hands it over as it is.
 */
import type { UserInfo } from './kind.ts'
import type { KubeObject } from './meta.ts'

export type Verb =
  | 'get'
  | 'list'
  | 'watch'
  | 'create'
  | 'update'
  | 'patch'
  | 'delete'
  | 'deletecollection'

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'
export type PropagationPolicy = 'Orphan' | 'Background' | 'Foreground'

export interface RequestOptions {
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly limit?: number
  readonly continue?: string
  readonly resourceVersion?: string
  readonly resourceVersionMatch?: string
  readonly allowWatchBookmarks?: boolean
  readonly sendInitialEvents?: boolean
  readonly timeoutSeconds?: number
  readonly dryRun?: boolean
  readonly fieldManager?: string
  readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict'
  readonly force?: boolean
  readonly propagationPolicy?: PropagationPolicy
  readonly gracePeriodSeconds?: number
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
}

export interface ApiRequest {
  readonly verb: Verb
  readonly group: string
  /** The version asked for; answers come in it. */
  readonly version: string
  readonly resource: string
  readonly subresource?: string
  /** Absent or '' = cluster-scoped, or all namespaces on list and watch. */
  readonly namespace?: string
  readonly name?: string
  readonly options: RequestOptions
  readonly patchType?: PatchType
  /** An object; for JSON patches the array of operations. Never mutated. */
  readonly body?: unknown
  /** Fields that stood twice in the body's text (the last one won): for strict field validation. */
  readonly duplicateFields?: readonly string[]
  readonly user: UserInfo
  /** The caller's User-Agent: who a write is noted under that names no field manager. */
  readonly agent?: string
  /** True: answer a write only after it is durable (callers outside the process). */
  readonly durable: boolean
  /** Adds to the audit log's note of this request. */
  readonly annotate?: (key: string, value: string) => void
  /** Ends a watch. */
  readonly signal?: AbortSignal
}

export interface WatchEvent<T extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: T
}

export interface ObjectList<T extends KubeObject = KubeObject> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly resourceVersion: string
    readonly continue?: string
    readonly remainingItemCount?: number
  }
  readonly items: readonly T[]
}

export interface ApiResponse {
  /** HTTP status code. */
  readonly code: number
  /** An object, a list, or a Status. Frozen when it comes out of the store: callers must not mutate it. */
  readonly body?: unknown
  /** The events of a watch; ends when the server closes it, throws StatusError (Expired) when history is gone. */
  readonly events?: AsyncIterable<WatchEvent>
  /** Texts of `Warning: 299` headers. */
  readonly warnings?: readonly string[]
}

/** What answers requests. Refusals are thrown as StatusError. */
export interface Api {
  handle(request: ApiRequest): Promise<ApiResponse>
}

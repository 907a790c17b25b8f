/**
 * A reconciler, as a value. `observe` reads the informers' caches in one synchronous step, so the world is one moment;
 * `plan` is pure and complete; the loop (loop.ts) compares and writes only differences. No reconciler has a client.
 */
import type { Kind } from '../api/kind.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import type { StatusError } from '../api/status-error.ts'
import type { KindReference } from './custom-kinds.ts'

/** Synchronous reads of informer caches. Kinds must be listed in the reconciler's `watches` (or be its own). */
export interface Reader {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): T | undefined
  /** Objects of a namespace ('' = all) whose labels carry all of `labels`. Indexed by namespace. */
  list<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string,
    labels?: Readonly<Record<string, string>>,
  ): readonly T[]
  /** Objects whose controller owner reference is `owner`. Indexed by owner uid. */
  owned<T extends KubeObject>(kind: Kind<T>, owner: KubeObject): readonly T[]
  /**
   * The kind of a CustomResourceDefinition, or one of Kubernetes' own, by its name in a reference; undefined = there is
   * none. From then on its objects can be read. There for reconcilers with `customKinds`.
   */
  custom?(reference: KindReference): Kind | undefined
}

/** A Kubernetes Event about the reconciled object. */
export interface PlannedEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export const normal = (reason: string, message: string): PlannedEvent => ({
  type: 'Normal',
  reason,
  message,
})
export const warning = (reason: string, message: string): PlannedEvent => ({
  type: 'Warning',
  reason,
  message,
})

/** A child that must exist and look like this. */
export interface Apply {
  readonly kind: Kind
  readonly desired: KubeObject
  /**
   * The object to store when one exists already; the default overwrites everything but metadata and status, and makes
   * labels, annotations and owner references contain the desired ones. Answer `existing` itself to leave it alone.
   */
  readonly merge?: (existing: KubeObject) => KubeObject
  /** Emitted when it was created. */
  readonly created?: PlannedEvent
  /** Emitted when its spec was changed. */
  readonly updated?: PlannedEvent
  /** Emitted, before the retry, when creating failed; `message` is followed by the error's text. */
  readonly createFailed?: PlannedEvent
}

/** A merge patch on an object that is not wholly ours: someone's labels, the finalizers, a `/scale`. */
export interface Patch {
  readonly kind: Kind
  readonly key: ObjectKey
  readonly body: unknown
  readonly subresource?: 'status' | 'scale'
}

export interface Delete {
  readonly kind: Kind
  readonly key: ObjectKey
  readonly uid?: string
}

/** Everything a reconcile wants. Carried out in this order: apply, patch, delete, status, events. */
export interface Plan {
  readonly apply?: readonly Apply[]
  readonly patch?: readonly Patch[]
  readonly delete?: readonly Delete[]
  /** The whole new status; written to `/status` only when it differs semantically from the stored one. */
  readonly status?: unknown
  /**
   * All of `status` can be found out again by looking. Then a round that writes something else too, and is woken by that,
   * leaves its status to the round that follows at once: what would be true for a millisecond is not worth a write.
   */
  readonly statusCanWait?: boolean
  /** The status to write instead when one of the writes before it was refused; the refusal is reported and retried. */
  readonly statusOnFailure?: (refusal: StatusError) => unknown
  readonly events?: readonly PlannedEvent[]
  /** Look again after this long even if nothing changes. */
  readonly requeueAfterMs?: number
  /** After all of the above: report this as a Warning event `InternalError` and retry with back-off. */
  readonly error?: Error
}

/** Maps a changed object of a watched kind to the keys of the reconciled kind that may care. */
export type Wake = (changed: KubeObject, read: Reader) => Iterable<ObjectKey>

export interface Reconciler<T extends KubeObject, World> {
  /** `route-controller`: the source component of its events and its name in logs. */
  readonly name: string
  readonly kind: Kind<T>
  /**
   * Other kinds it reads, each with how a change wakes keys. `'owner'` = the controller owner reference, when it is of
   * this kind; `'none'` = cached for reading only; `'all'` = every object of the reconciled kind (ConfigMaps).
   */
  readonly watches: readonly {
    readonly kind: Kind
    readonly wake: 'owner' | 'none' | 'all' | Wake
    /** Requests wait for what a change of this kind leads to. */
    readonly urgent?: boolean
  }[]
  /** Set when it follows references to objects of any kind (`Reader.custom`): how a change of one wakes keys. */
  readonly customKinds?: Wake
  /**
   * Requests wait for what a change of its own kind, or a wake of `connect`, leads to: that goes before everything that
   * only keeps books, and its status comes after what others make of it.
   */
  readonly urgent?: boolean
  /** Set when the reconciler finalizes; the loop adds and removes it. `finalize` says when it may go. */
  readonly finalizer?: string
  /** False: this reconciler does not handle the object (another class of PodAutoscaler). Default: handles all. */
  readonly handles?: (object: T) => boolean
  observe(object: T, read: Reader, nowMs: number): World
  plan(world: World, nowMs: number): Plan
  /** Plan for an object that is being deleted and carries `finalizer`; `done` removes the finalizer afterwards. */
  finalize?(world: World, nowMs: number): Plan & { readonly done: boolean }
  /** What is left to do for a key whose object is gone: tidying that garbage collection can't do. */
  gone?(key: ObjectKey, read: Reader): Plan
  /** Called once at the start with a function that wakes a key, for worlds outside the API (digests, probes). */
  connect?(wake: (key: ObjectKey) => void): Disposable
}

/**
 * The typed client that controllers, the node agent and the CLI use. It never says whether it talks to the store in
 * its own process or over HTTPS to a Kubernetes API server: that is its transport's business. All refusals are
 * StatusErrors. Objects it answers are frozen when they come from the store: treat them as values.
 */
import type { Kind } from '../api/kind.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import type { ObjectList, PatchType, RequestOptions, WatchEvent } from '../api/protocol.ts'

/** For create: namespace and (generate)name are in the object. */
export interface Client {
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): Promise<T>
  /** `namespace` '' = all. */
  list<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string,
    options?: RequestOptions,
  ): Promise<ObjectList<T>>
  watch<T extends KubeObject>(
    kind: Kind<T>,
    namespace: string,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<AsyncIterable<WatchEvent<T>>>
  create<T extends KubeObject>(kind: Kind<T>, object: T, options?: RequestOptions): Promise<T>
  update<T extends KubeObject>(kind: Kind<T>, object: T, options?: RequestOptions): Promise<T>
  updateStatus<T extends KubeObject>(kind: Kind<T>, object: T): Promise<T>
  /** `subresource` '' = the object itself. */
  patch<T extends KubeObject>(
    kind: Kind<T>,
    key: ObjectKey,
    patch: { readonly type: PatchType; readonly body: unknown; readonly subresource?: string },
    options?: RequestOptions,
  ): Promise<T>
  delete<T extends KubeObject>(
    kind: Kind<T>,
    key: ObjectKey,
    options?: RequestOptions,
  ): Promise<void>
}

/**
 * The API server: Kubernetes' generic machinery over a store and a list of kinds. `handle` answers one request as
 * values; HTTP (`http.ts`) and the in-process client are adapters. Each verb is a file of its own beside this one.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Random } from '../../lib/random.ts'
import type { AdmissionContext, KindDefinition } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Api } from '../api/protocol.ts'
import type { Store } from '../store/store.ts'

/** Runs after the kind's own `admit`, in the order given. Answers the object to store or throws a StatusError. */
export interface AdmissionPlugin {
  readonly kind: { readonly group: string; readonly kind: string }
  admit(object: KubeObject, context: AdmissionContext): KubeObject
}

export interface ApiServerOptions {
  readonly store: Store
  readonly kinds: readonly KindDefinition[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly admission?: readonly AdmissionPlugin[]
  /** PEM of the certificate authority, put into ConfigMap `kube-root-ca.crt` of each namespace. */
  readonly rootCA?: string
}

export interface ApiServer extends Api, Disposable {
  /** All served kinds, for discovery, OpenAPI and tables. */
  readonly kinds: readonly KindDefinition[]
  /** The kind that serves `resource` (plural) in this group and version, if any. */
  find(group: string, version: string, resource: string): KindDefinition | undefined
}

/** Makes the server, and in an empty store the first namespaces. */
export function createApiServer(_options: ApiServerOptions): ApiServer {
  throw new Error('being written')
}

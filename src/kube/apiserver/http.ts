/**
 * The API over HTTP: requests to `ApiRequest`s, answers to JSON, YAML, tables and watch streams, with Kubernetes'
 * paths, headers and limits (contracts/kube §1).
 */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { UserInfo } from '../api/kind.ts'
import type { UnknownObject } from '../api/meta.ts'
import type { ApiServer } from './api-server.ts'

/** Query parameters of `pods/log` (contracts/kube §6.1). */
export interface PodLogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  readonly limitBytes?: number
  /** Lines written at or after this moment, milliseconds since the epoch. */
  readonly sinceMs?: number
}

/** Where container logs come from: the node agent. */
export interface PodLogs {
  /**
   * Raw bytes of one container's log, whole lines. With `follow` it ends when the container ends. Throws StatusError
   * (BadRequest) when there is no such log, before the first chunk.
   */
  read(
    pod: UnknownObject,
    container: string,
    options: PodLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
}

/** What a connection and its headers say about the caller. */
export interface Credentials {
  /** Of a client certificate that the CA signed. */
  readonly certificate?: { readonly commonName: string; readonly organizations: readonly string[] }
  readonly bearerToken?: string
}

export interface HttpOptions {
  readonly api: ApiServer
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
  /** PEM texts; absent = plain HTTP. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca: string }
  /**
   * Who the caller is. `undefined` = the credentials are bad (401). Without credentials answer the anonymous user
   * (`anonymous`). Default: `authenticator({})`.
   */
  readonly authenticate?: (credentials: Credentials) => UserInfo | undefined
  readonly log: Log
  readonly clock: Clock
  readonly logs?: PodLogs
}

export interface HttpServer extends AsyncDisposable {
  /** `https://127.0.0.1:6443` or `http://…`. */
  readonly url: string
  readonly port: number
}

/** Starts listening; disposing ends every connection. */
export function serveHttp(_options: HttpOptions): Promise<HttpServer> {
  throw new Error('being written')
}

/** The Api seam over HTTPS. Signature first. */
import type { Api } from '../../api/protocol.ts'

export interface HttpApiOptions {
  /** `https://127.0.0.1:6443`, optionally with a path before `/api`. */
  readonly server: string
  /** PEM texts. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly token?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly tlsServerName?: string
  readonly userAgent?: string
}

export declare function httpApi(options: HttpApiOptions): Api & AsyncDisposable

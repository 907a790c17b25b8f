/** The platform's own certificate authority, serving certificate and admin credential, and the kubeconfig for them. */
import type { Clock } from '../lib/clock.ts'

/** PEM texts. */
export interface Certificates {
  readonly ca: string
  readonly serving: { readonly cert: string; readonly key: string }
  /** Client certificate of user `admin` in group `system:masters`. */
  readonly admin: { readonly cert: string; readonly key: string }
}

export interface CertificateOptions {
  /** DNS names of the server besides localhost and kubernetes.default.svc. */
  readonly hosts: readonly string[]
  /** Addresses of the server besides 127.0.0.1 and ::1. */
  readonly ips: readonly string[]
  readonly clock: Clock
}

/** Reads the certificates in `directory`, makes those that are missing, near expiry or of other names. */
export function ensureCertificates(
  _directory: string,
  _options: CertificateOptions,
): Promise<Certificates> {
  throw new Error('being written')
}

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string
  readonly certificates: Certificates
  /** Name of cluster, user and context. Default `ebb`. */
  readonly name?: string
  readonly namespace?: string
}

/** Writes a kubeconfig of its own file, readable by its owner only. */
export function writeKubeconfig(_path: string, _options: KubeconfigOptions): Promise<void> {
  throw new Error('being written')
}

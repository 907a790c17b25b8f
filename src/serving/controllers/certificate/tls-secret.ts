/** Secrets of type kubernetes.io/tls: what is in them, checked, and how one is made for a Certificate. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { rfc3339 } from '../../../lib/clock.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import type { Certificate } from '../../api/certificate.ts'
import { label } from '../../api/names.ts'
import type { Signed } from './issuance.ts'

/** Who signed what is in a Secret: `local`, or the URL of an ACME directory. */
export const issuerAnnotation = 'ebb.dev/issuer'

export interface TlsContent {
  /** PEM texts. */
  readonly chain: string
  readonly privateKey: string
  /** Of a private authority; '' of others. */
  readonly ca: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** DNS names that it is for, in lower case. */
  readonly names: readonly string[]
  /** True when the certificate covers the name, `*.` names as they are. */
  readonly covers: (name: string) => boolean
}

const known = new WeakMap<Secret, TlsContent | string>()

/** The certificate and key of a Secret; a text says what is wrong with it. */
export function tlsContent(secret: Secret): TlsContent | string {
  let content = known.get(secret)
  if (content === undefined) known.set(secret, (content = parse(secret)))
  return content
}

function parse({ metadata, data = {} }: Secret): TlsContent | string {
  const chain = decode(data['tls.crt'])
  const privateKey = decode(data['tls.key'])
  if (!chain) return 'tls.crt is missing'
  if (!privateKey) return 'tls.key is missing'
  if (/BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(privateKey))
    return 'tls.key is encrypted and nobody can be asked for its passphrase: put the key there as `openssl pkey` decrypts it'
  try {
    const leaf = new X509Certificate(chain)
    if (!leaf.checkPrivateKey(createPrivateKey(privateKey)))
      return 'tls.key is not the key of the first certificate in tls.crt'
    // What the gateway will do with it. What was signed here is known to be good, and may be much.
    if (!metadata.labels?.[label.certificateUID])
      createSecureContext({ cert: chain, key: privateKey })
    const alternatives = (leaf.subjectAltName ?? '').split(/,\s*/)
    const names = new Set(alternatives.map((name) => name.replace(/^DNS:/, '')))
    return {
      chain,
      privateKey,
      ca: decode(data['ca.crt']),
      notBeforeMs: Date.parse(leaf.validFrom),
      notAfterMs: Date.parse(leaf.validTo),
      names: alternatives
        .filter((name) => name.startsWith('DNS:'))
        .map((name) => name.slice('DNS:'.length).toLowerCase()),
      covers: (name) => names.has(name) || leaf.checkHost(name, { subject: 'never' }) !== undefined,
    }
  } catch (error) {
    return `tls.crt or tls.key can't be used: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** Why a Secret is no good for TLS at this moment. */
export interface TlsProblem {
  readonly reason: 'SecretNotUsable' | 'CertificateExpired' | 'CertificateNotYetValid'
  readonly message: string
}

/** What is wrong with a Secret that TLS needs, undefined when nothing is. */
export function tlsProblem(secret: Secret | undefined, nowMs: number): TlsProblem | undefined {
  const content = secret ? tlsContent(secret) : 'there is no such Secret'
  if (typeof content === 'string') return { reason: 'SecretNotUsable', message: content }
  if (content.notAfterMs <= nowMs)
    return {
      reason: 'CertificateExpired',
      message: `the certificate expired at ${rfc3339(content.notAfterMs)}: put a new one into the Secret`,
    }
  if (content.notBeforeMs > nowMs)
    return {
      reason: 'CertificateNotYetValid',
      message: `the certificate is valid from ${rfc3339(content.notBeforeMs)} only`,
    }
  return undefined
}

const decode = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString()
const encode = (text: string): string => Buffer.from(text).toString('base64')

/** True for a Secret that was made for this Certificate. */
export const isMadeFor = (secret: Secret, { metadata }: Certificate): boolean =>
  secret.metadata.labels?.[label.certificateUID] === metadata.uid

export function applySecret(certificate: Certificate, signed: Signed, issuer: string): Apply {
  const { namespace, name, uid = '' } = certificate.metadata
  const desired: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: certificate.spec.secretName,
      ...(namespace && { namespace }),
      labels: { [label.certificateUID]: uid },
      annotations: { [issuerAnnotation]: issuer },
      ownerReferences: [controllerRef(certificate)],
    },
    type: 'kubernetes.io/tls',
    data: {
      'tls.crt': encode(signed.chain),
      'tls.key': encode(signed.privateKey),
      ...(signed.ca !== undefined && { 'ca.crt': encode(signed.ca) }),
    },
  }
  return {
    kind: Secret,
    desired,
    createFailed: {
      type: 'Warning',
      reason: 'CreationFailed',
      message: `Failed to create the Secret of Certificate "${name}": `,
    },
  }
}

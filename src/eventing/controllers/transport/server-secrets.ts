/**
 * The Secrets with the certificates that Eventing's addresses are served with: made by the platform's own authority
 * while transport-encryption is on, renewed in time, and read again whenever they change. One that somebody else has
 * put there (cert-manager) is taken as it is.
 */
import { X509Certificate } from 'node:crypto'
import { Secret } from '../../../kube/api/secret.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { jobSinkHost } from '../../api/sinks/job-sink.ts'
import {
  brokerIngressHost,
  clusterDomain,
  hostNames,
  requestReplyHost,
  systemNamespace,
} from '../../api/names.ts'
import type { ServerCertificate } from '../../broker/feed.ts'

export const dispatcherHost = `imc-dispatcher.${systemNamespace}.svc.${clusterDomain}`

/** Host by Secret. */
export const serverSecrets = {
  broker: { name: 'mt-broker-ingress-server-tls', host: brokerIngressHost },
  channel: { name: 'imc-dispatcher-server-tls', host: dispatcherHost },
  jobSink: { name: 'job-sink-server-tls', host: jobSinkHost },
  requestReply: { name: 'request-reply-server-tls', host: requestReplyHost },
} as const

export const isServerSecret = ({ metadata }: Secret): boolean =>
  metadata.namespace === systemNamespace &&
  Object.values(serverSecrets).some(({ name }) => name === metadata.name)

const textOf = (secret: Secret | undefined, key: string): string | undefined => {
  const value = secret?.data?.[key]
  return value === undefined || value === '' ? undefined : Buffer.from(value, 'base64').toString()
}

const secretOf = (read: Pick<Reader, 'get'>, name: string): Secret | undefined =>
  read.get(Secret, { namespace: systemNamespace, name })

/** PEM of the authority that signed it; undefined = it is not there yet. */
export const authorityOf = (read: Pick<Reader, 'get'>, name: string): string | undefined => {
  const secret = secretOf(read, name)
  return textOf(secret, 'ca.crt') ?? textOf(secret, 'tls.crt')
}

/** What the engine serves TLS with. */
export function serverCertificates(
  read: Pick<Reader, 'get'>,
  jobSink: { readonly host: string; readonly port: number } | undefined,
): readonly ServerCertificate[] {
  return Object.values(serverSecrets).flatMap(({ name, host }): readonly ServerCertificate[] => {
    const secret = secretOf(read, name)
    const cert = textOf(secret, 'tls.crt')
    const key = textOf(secret, 'tls.key')
    if (cert === undefined || key === undefined) return []
    const relay = host === jobSinkHost ? jobSink : undefined
    if (host === jobSinkHost && !relay) return []
    return [{ hosts: hostNames(host), cert, key, ...(relay && { relay }) }]
  })
}

export const ownLabel = 'ebb.dev/server-certificate'
const renewBeforeMs = 30 * 86_400_000

/** Names of Secrets that are to be made, now. */
export function missingSecrets(read: Pick<Reader, 'get'>, nowMs: number): readonly string[] {
  return Object.values(serverSecrets)
    .map(({ name }) => name)
    .filter((name) => {
      const secret = secretOf(read, name)
      if (!secret) return true
      if (secret.metadata.labels?.[ownLabel] === undefined) return false
      const cert = textOf(secret, 'tls.crt')
      try {
        return Date.parse(new X509Certificate(cert ?? '').validTo) - nowMs < renewBeforeMs
      } catch {
        return true
      }
    })
}

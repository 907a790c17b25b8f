/** The certificate of a DomainMapping: whose it is, and what the mapping says of it (contracts/serving 2.9, 5.8). */
import {
  domainMappingConditions as conditions,
  type DomainMapping,
  type DomainMappingStatus,
} from '../../api/domain-mapping.ts'
import type { IngressTls } from '../../api/ingress.ts'

export interface DomainTls {
  readonly status: DomainMappingStatus
  /** For the KIngress. */
  readonly tls: readonly IngressTls[]
  /** Undefined: config-network says. */
  readonly scheme?: 'https'
}

export function domainTls(
  { metadata, spec }: DomainMapping,
  begun: DomainMappingStatus,
  nowMs: number,
): DomainTls {
  const { name, namespace = '' } = metadata
  const secretName = spec.tls?.secretName
  if (!secretName)
    return {
      status: conditions.markTrueWithReason(
        begun,
        'CertificateProvisioned',
        'TLSNotEnabled',
        'external-domain-tls is not enabled',
        nowMs,
      ),
      tls: [],
    }
  return {
    status: conditions.markTrueWithReason(
      begun,
      'CertificateProvisioned',
      'CertificateExternallyProvided',
      'TLS certificate was provided externally',
      nowMs,
    ),
    tls: [{ hosts: [name], secretName, secretNamespace: namespace }],
    scheme: 'https',
  }
}

/** The certificate of a DomainMapping: whose it is, and what the mapping says of it. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, isControlledBy, keyOf } from '../../../kube/api/meta.ts'
import type { Apply, Delete } from '../../../kube/controller/reconciler.ts'
import { conditionOf, isReady } from '../../../knative/conditions.ts'
import { Certificate } from '../../api/certificate.ts'
import type { NetworkConfig } from '../../api/config/network.ts'
import {
  domainMappingConditions as conditions,
  type DomainMapping,
  type DomainMappingStatus,
} from '../../api/domain-mapping.ts'
import type { IngressTls } from '../../api/ingress.ts'
import { annotation, annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import { without } from '../copied-metadata.ts'
import { isOptedOut } from '../external-tls.ts'
import { applyCertificate } from '../route/certificates.ts'

export interface DomainTls {
  readonly status: DomainMappingStatus
  /** For the KIngress. */
  readonly tls: readonly IngressTls[]
  /** Undefined: config-network says. */
  readonly scheme?: 'http' | 'https'
  readonly apply: readonly Apply[]
  readonly obsolete: readonly Delete[]
}

/** `existing`: the Certificate of the mapping's name, whoever made it. */
export function domainTls(
  mapping: DomainMapping,
  network: NetworkConfig,
  existing: Certificate | undefined,
  begun: DomainMappingStatus,
  nowMs: number,
): DomainTls {
  const { metadata, spec } = mapping
  const { name, namespace = '' } = metadata
  const ours = existing && isControlledBy(existing, mapping) ? existing : undefined
  const entry = (secretName: string): readonly IngressTls[] => [
    { hosts: [name], secretName, secretNamespace: namespace },
  ]
  const secretName = spec.tls?.secretName
  const true_ = (reason: string, message: string) =>
    conditions.markTrueWithReason(begun, 'CertificateProvisioned', reason, message, nowMs)
  if (secretName)
    return {
      status: true_('CertificateExternallyProvided', 'TLS certificate was provided externally'),
      tls: entry(secretName),
      scheme: 'https',
      apply: [],
      obsolete: gone(ours),
    }
  if (!network.externalDomainTls || isOptedOut(metadata.annotations))
    return {
      status: true_('TLSNotEnabled', 'external-domain-tls is not enabled'),
      tls: [],
      apply: [],
      obsolete: gone(ours),
    }
  const failed = (reason: string, message: string) =>
    conditions.markFalse(begun, 'CertificateProvisioned', reason, message, nowMs)
  if (existing && !ours)
    return {
      status: failed(
        'CertificateNotOwned',
        `There is an existing certificate ${name} that we don't own.`,
      ),
      tls: [],
      apply: [],
      obsolete: [],
    }
  const apply = [applyCertificate(desiredCertificate(mapping, network))]
  if (ours && isReady(ours))
    return {
      status: conditions.markTrue(begun, 'CertificateProvisioned', nowMs),
      tls: entry(ours.spec.secretName),
      scheme: 'https',
      apply,
      obsolete: [],
    }
  if (network.httpProtocol === 'Enabled')
    return {
      status: true_('HTTPDowngrade', `Certificate ${name} is not ready downgrade HTTP.`),
      scheme: 'http',
      tls: [],
      apply,
      obsolete: [],
    }
  return {
    status:
      ours && conditionOf(ours.status, 'Ready')?.status === 'False'
        ? failed('CertificateProvisionFailed', `Certificate ${name} failed to be provisioned.`)
        : conditions.markUnknown(
            begun,
            'CertificateProvisioned',
            'CertificateNotReady',
            `Certificate ${name} is not ready.`,
            nowMs,
          ),
    scheme: 'https',
    tls: [],
    apply,
    obsolete: [],
  }
}

function gone(certificate: Certificate | undefined): readonly Delete[] {
  if (!certificate) return []
  const { uid } = certificate.metadata
  return [{ kind: Certificate, key: keyOf(certificate), ...(uid && { uid }) }]
}

const dropped: ReadonlySet<string> = new Set([
  annotation.lastApplied,
  annotationSpellings.ingressClass[1],
  ...annotationSpellings.certificateClass,
])

function desiredCertificate(mapping: DomainMapping, network: NetworkConfig): Certificate {
  const { name, namespace, uid = '', annotations } = mapping.metadata
  return {
    apiVersion: apiVersionOf(Certificate),
    kind: Certificate.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: {
        [label.domainMappingUID]: uid,
        [label.certificateType]: 'external-domain',
      },
      annotations: {
        ...without(annotations, (key) => dropped.has(key)),
        [annotation.certificateClass]:
          firstSpelling(annotations, annotationSpellings.certificateClass)?.value ??
          network.certificateClass,
      },
      ownerReferences: [controllerRef(mapping)],
    },
    spec: { dnsNames: [name], domain: name, secretName: name },
  }
}

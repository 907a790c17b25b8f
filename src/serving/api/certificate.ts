/**
 * Certificate: asks for a TLS certificate for some DNS names, which is put into a Secret
 * (networking.internal.knative.dev/v1alpha1).
 */
import { admission } from '../../knative/admission.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { missingField, via, type FieldError } from '../../knative/field-error.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { intOrString, list, object, string, type Static } from '../../kube/api/schema.ts'
import { readyColumns } from '../../knative/columns.ts'
import { networkingInternalGroup } from './names.ts'
import { statusFields } from '../../knative/status.ts'

export const CertificateSpec = object(
  {
    dnsNames: list(string(), { description: 'Names the certificate is for; wildcards may be.' }),
    domain: string({ description: 'Domain that the names stand under, where one is known.' }),
    secretName: string({ description: 'Secret of type kubernetes.io/tls that is made.' }),
  },
  { required: ['dnsNames', 'secretName'] },
)
export type CertificateSpec = Static<typeof CertificateSpec>

/** A request that the certificate's authority sends to see who holds the name. */
export const HTTP01Challenge = object({
  url: string({ description: 'What the authority asks for.' }),
  serviceName: string(),
  serviceNamespace: string(),
  servicePort: intOrString(),
})
export type HTTP01Challenge = Static<typeof HTTP01Challenge>

export const CertificateStatus = object({
  ...statusFields,
  notAfter: string({ format: 'date-time', description: 'When the certificate expires.' }),
  http01Challenges: list(HTTP01Challenge),
})
export type CertificateStatus = Static<typeof CertificateStatus>

export interface Certificate extends KubeObject {
  readonly spec: CertificateSpec
  readonly status?: CertificateStatus
}

function* validate({ spec }: Certificate): Generator<FieldError> {
  const names = spec?.dnsNames ?? []
  if (names.length === 0) yield missingField('dnsNames')
  for (const [i, name] of names.entries()) if (!name) yield missingField(`dnsNames[${i}]`)
  if (!spec?.secretName) yield missingField('secretName')
}

/** A Certificate's Ready is set directly. */
export const certificateConditions = conditionSet({ dependents: [] })

export const Certificate: KindDefinition<Certificate> = {
  group: networkingInternalGroup,
  version: 'v1alpha1',
  kind: 'Certificate',
  plural: 'certificates',
  singular: 'certificate',
  shortNames: ['kcert'],
  categories: ['knative-internal', 'networking'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'A TLS certificate for some DNS names. Made by the system.',
  admit: admission({ validate: (certificate) => via('spec', validate(certificate)) }),
  schema: object({ spec: CertificateSpec, status: CertificateStatus }),
  columns: readyColumns,
}

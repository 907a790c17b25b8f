/** CertificateSigningRequest: a client asks for a certificate, somebody approves, a signer issues it. */
import type { CertificateSigningRequest as CertificateSigningRequestType } from 'kubernetes-types/certificates/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid, required, sameJson, wrong, type Complaints } from './validation.ts'

export type CertificateSigningRequest = Stored<CertificateSigningRequestType, 'spec'>

export const CertificateSigningRequest: KindDefinition<CertificateSigningRequest> = {
  group: 'certificates.k8s.io',
  version: 'v1',
  kind: 'CertificateSigningRequest',
  plural: 'certificatesigningrequests',
  singular: 'certificatesigningrequest',
  shortNames: ['csr'],
  namespaced: false,
  description:
    'A CertificateSigningRequest asks a signer for a certificate, once somebody has approved it.',
  schema: builtin<CertificateSigningRequest>(
    'io.k8s.api.certificates.v1.CertificateSigningRequest',
  ),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  nameRule: 'path',
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
  columns: [
    nameColumn,
    ageColumn,
    {
      name: 'SignerName',
      type: 'string',
      description: 'Who shall sign.',
      value: ({ spec }) => spec.signerName,
    },
    {
      name: 'Requestor',
      type: 'string',
      description: 'Who asks.',
      value: ({ spec }) => spec.username ?? '',
    },
    {
      name: 'RequestedDuration',
      type: 'string',
      description: 'How long the certificate shall last.',
      value: ({ spec }) => durationText(spec.expirationSeconds),
    },
    {
      name: 'Condition',
      type: 'string',
      description: 'What has come of it.',
      value: conditionText,
    },
  ],
  admit(given, context) {
    const request = context.old ? given : askedBy(given, context)
    return refuseInvalid(CertificateSigningRequest, request, problems(request, context.old))
  },
}

/** True when the request has a condition of this type. */
export const hasCondition = ({ status }: CertificateSigningRequest, type: string): boolean =>
  (status?.conditions ?? []).some((condition) => condition.type === type)

function conditionText(request: CertificateSigningRequest): string {
  const words = ['Approved', 'Denied', 'Failed'].filter((type) => hasCondition(request, type))
  if (words.length === 0) words.push('Pending')
  if (request.status?.certificate) words.push('Issued')
  return words.join(',')
}

function durationText(seconds: number | undefined): string {
  if (seconds === undefined) return '<none>'
  const days = Math.floor(seconds / 86_400)
  if (days >= 2) return `${days}d`
  const hours = Math.floor(seconds / 3600)
  return hours >= 2 ? `${hours}h` : seconds >= 120 ? `${Math.floor(seconds / 60)}m` : `${seconds}s`
}

/** Who asks is who called, whatever the request says of it. */
function askedBy(
  request: CertificateSigningRequest,
  { user }: AdmissionContext<CertificateSigningRequest>,
): CertificateSigningRequest {
  const { username: _name, uid: _uid, groups: _groups, extra: _extra, ...spec } = request.spec
  const { username, uid, groups, extra } = user
  return {
    ...request,
    spec: { ...spec, username, groups, ...(uid && { uid }), ...(extra && { extra: { ...extra } }) },
  }
}

const pem = /-----BEGIN CERTIFICATE REQUEST-----[\s\S]+-----END CERTIFICATE REQUEST-----/

function* problems(
  { spec, status }: CertificateSigningRequest,
  old: CertificateSigningRequest | undefined,
): Complaints {
  if (old) {
    if (!sameJson(spec, old.spec)) yield wrong('spec', '', 'field is immutable')
    for (const { type } of old.status?.conditions ?? [])
      if ((type === 'Approved' || type === 'Denied') && !hasType(status, type))
        yield wrong('status.conditions', type, 'conditions may not be removed')
    if (hasType(status, 'Approved') && hasType(status, 'Denied'))
      yield wrong(
        'status.conditions',
        'Denied',
        'Approved and Denied conditions are mutually exclusive',
      )
    return
  }
  if (!pem.test(decoded(spec.request)))
    yield wrong(
      'spec.request',
      spec.request?.slice(0, 40) ?? '',
      'PEM block type must be CERTIFICATE REQUEST',
    )
  if ((spec.usages ?? []).length === 0) yield required('spec.usages')
  if (!spec.signerName) yield required('spec.signerName')
  else if (!/^[a-z0-9][-a-z0-9.]*\.[-a-z0-9.]+\/[\w./-]+$/.test(spec.signerName))
    yield wrong(
      'spec.signerName',
      spec.signerName,
      'must be a fully qualified domain and path of the form "example.com/signer-name"',
    )
  if (spec.expirationSeconds !== undefined && spec.expirationSeconds < 600)
    yield wrong(
      'spec.expirationSeconds',
      spec.expirationSeconds,
      'may not specify a duration less than 600 seconds (10 minutes)',
    )
}

const hasType = (status: CertificateSigningRequest['status'], type: string): boolean =>
  (status?.conditions ?? []).some((condition) => condition.type === type)

function decoded(base64: string | undefined): string {
  try {
    return atob(base64 ?? '')
  } catch {
    return ''
  }
}

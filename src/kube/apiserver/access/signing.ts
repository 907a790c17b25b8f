/**
 * Who may approve and sign CertificateSigningRequests: besides the right to the subresource, the verb `approve` or
 * `sign` on the signer (Kubernetes' CertificateApproval and CertificateSigning admission).
 */
import { CertificateSigningRequest } from '../../api/certificate-signing-request.ts'
import type { AdmissionContext } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { forbidden } from '../../api/status-error.ts'
import type { AdmissionPlugin } from '../machinery.ts'
import { equal, fieldsOf, open } from '../values.ts'
import type { Authorizer } from './authorization.ts'

export const signerChecks = (authorizer: Authorizer): AdmissionPlugin => ({
  kind: CertificateSigningRequest,
  admit(object: KubeObject, context: AdmissionContext): KubeObject {
    const { subresource, user, old } = context
    const signer = String(fieldsOf(open(object)['spec'])['signerName'])
    const certificate = (of: KubeObject | undefined) =>
      of && fieldsOf(open(of)['status'])['certificate']
    const verb =
      subresource === 'approval'
        ? 'approve'
        : subresource === 'status' && !equal(certificate(old), certificate(object))
          ? 'sign'
          : undefined
    if (verb === undefined) return object
    const [domain = ''] = signer.split('/', 1)
    const may = (name: string): boolean =>
      authorizer.authorize(user, {
        verb,
        group: 'certificates.k8s.io',
        resource: 'signers',
        subresource: '',
        namespace: '',
        name,
      }) === undefined
    if (may(signer) || may(`${domain}/*`)) return object
    throw forbidden(
      CertificateSigningRequest,
      object.metadata.name,
      `user not permitted to ${verb} requests with signerName ${JSON.stringify(signer)}`,
    )
  },
})

/** GET of one object, or of its scale. */
import type { ApiResponse } from '../../api/protocol.ts'
import { waitForRevision } from './freshness.ts'
import { answer, answerBody, isKind, storedObject, unknownResource } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { scaleOf } from './scale.ts'

export async function get(target: Target): Promise<ApiResponse> {
  const { subresource, kind } = target
  await waitForRevision(target)
  const isWhole =
    subresource === '' ||
    (subresource === 'status' && kind.hasStatus) ||
    (subresource === 'approval' &&
      isKind(kind, 'certificates.k8s.io', 'CertificateSigningRequest')) ||
    (subresource === 'ephemeralcontainers' && isKind(kind, '', 'Pod'))
  if (isWhole) return answer(target, 200, storedObject(target))
  if (subresource === 'scale' && kind.scale)
    return answerBody(target, 200, scaleOf(kind.scale, storedObject(target)))
  throw unknownResource()
}

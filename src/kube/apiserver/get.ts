/** GET of one object, or of its scale. */
import type { ApiResponse } from '../api/protocol.ts'
import { waitForRevision } from './freshness.ts'
import { answer, answerBody, storedObject, unknownResource } from './machinery.ts'
import type { Target } from './machinery.ts'
import { scaleOf } from './scale.ts'

export async function get(target: Target): Promise<ApiResponse> {
  const { subresource, kind } = target
  await waitForRevision(target)
  if (subresource === '' || (subresource === 'status' && kind.hasStatus))
    return answer(target, 200, storedObject(target))
  if (subresource === 'scale' && kind.scale)
    return answerBody(target, 200, scaleOf(kind.scale, storedObject(target)))
  throw unknownResource()
}

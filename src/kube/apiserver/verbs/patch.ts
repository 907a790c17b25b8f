/**
 * PATCH: the stored object in the request's version, patched, then stored by the rules of an update. Reading, patching
 * and storing are one synchronous step, so a patch without resourceVersion cannot lose a race.
 */
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse, PatchType } from '../../api/protocol.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { wholeSchema } from '../../api/structural.ts'
import { serverSideApply } from '../apply/server-side-apply.ts'
import { withManagedFields } from '../apply/tracking.ts'
import { readPatched, checkPlace } from './body.ts'
import { jsonPatch } from './json-patch.ts'
import {
  answer,
  answerBody,
  present,
  settled,
  storedObject,
  unknownResource,
} from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { mergePatch } from './merge-patch.ts'
import { scaleOf, withScale } from './scale.ts'
import { strategicMerge } from './strategic-merge.ts'
import { commitUpdate, isUpdatable } from './update.ts'
import { fieldsOf, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'

export async function patch(target: Target): Promise<ApiResponse> {
  const { subresource, kind, request } = target
  const type = patchTypeOf(target)
  if (type === 'apply') return serverSideApply(target)
  if (request.options.force !== undefined)
    throw new StatusError(
      'Invalid',
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    )
  if (subresource === 'scale' && kind.scale) {
    const old = storedObject(target)
    const patched = apply(target, type, scaleOf(kind.scale, old))
    const { object, writes } = commitUpdate(target, old, withScale(target, old, patched))
    await settled(target, ...writes)
    return answerBody(target, 200, scaleOf(kind.scale, object))
  }
  if (!isUpdatable(target)) throw unknownResource()
  const old = storedObject(target)
  const given = readPatched(target, apply(target, type, shown(target, old)))
  checkPlace(target, given)
  const { object, writes } = commitUpdate(target, old, given)
  await settled(target, ...writes)
  return answer(target, 200, object)
}

/** The object as the patch's author sees it: with the fields of its managers, where the patch could speak of them. */
function shown(target: Target, old: KubeObject): KubeObject {
  const { body } = target.request
  const object = present(target, old)
  const speaks = Array.isArray(body)
    ? body.some((each) => String(fieldsOf(each)['path']).startsWith('/metadata'))
    : fieldsOf(fieldsOf(body)['metadata'])['managedFields'] !== undefined
  return speaks ? withManagedFields(target.kind, object, target.version) : object
}

function patchTypeOf({ request: { patchType }, kind }: Target): PatchType {
  if (patchType === undefined)
    throw new StatusError('UnsupportedMediaType', '415: Unsupported Media Type')
  if (patchType === 'strategic' && kind.flavour === 'custom')
    throw new StatusError(
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    )
  return patchType
}

function apply(target: Target, type: PatchType, shown: KubeObject): Fields {
  const { body } = target.request
  const current: Fields = { ...shown }
  if (type === 'json') {
    const patched = jsonPatch(current, body)
    if (isRecord(patched)) return patched
    throw badRequest('error decoding patch: the patched object is not an object')
  }
  if (!isRecord(body))
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${Array.isArray(body) ? 'array' : typeof body} into Go value of type map[string]interface {}`,
    )
  if (type === 'strategic' && target.subresource !== 'scale')
    return strategicMerge(wholeSchema(target.kind, target.version), current, body)
  const merged = mergePatch(current, body)
  return isRecord(merged) ? merged : current
}

/**
 * PUT, and what PATCH shares with it: optimistic locking, the server's own metadata, status and the rest as separate
 * writers, admission, generation.
 */
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import {
  StatusError,
  badRequest,
  conflict,
  invalid,
  notFound,
  qualifiedResource,
} from '../../api/status-error.ts'
import { admit } from '../admission.ts'
import type { Entry } from '../apply/managers.ts'
import { requestedEntries } from '../apply/tracking.ts'
import { checkPlace, readObject } from './body.ts'
import { replace } from './commit.ts'
import type { Committed } from './commit.ts'
import { createNow } from './create.ts'
import {
  answer,
  answerBody,
  isKind,
  readStored,
  settled,
  storedObject,
  unknownResource,
} from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { metadataProblems, updatedMetadata } from '../metadata.ts'
import { updatedNamespace } from '../namespaces.ts'
import { scaleOf, withScale } from './scale.ts'
import { fieldsOf, open, without } from '../values.ts'

export async function update(target: Target): Promise<ApiResponse> {
  const { subresource, kind, machinery } = target
  if (subresource === 'scale' && kind.scale) {
    const old = storedObject(target)
    const { object, writes } = commitUpdate(
      target,
      old,
      withScale(target, old, target.request.body),
    )
    await settled(target, ...writes)
    return answerBody(target, 200, scaleOf(kind.scale, object))
  }
  if (!isUpdatable(target)) throw unknownResource()
  const given = readObject(target, 'UpdateOptions')
  const namespace = checkPlace(target, given)
  const old = readStored(machinery, kind, { namespace, name: target.name })
  if (!old) {
    if (!kind.createOnUpdate || subresource !== '') throw notFound(kind, target.name)
    const created = createNow(target, withoutVersion(given))
    await settled(target, ...created.writes)
    return answer(target, 201, created.object)
  }
  if (!given.metadata.resourceVersion && !takesUnconditional(target))
    throw new StatusError(
      'Invalid',
      `${qualifiedResource(kind)} "${target.name}" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update`,
      {
        name: target.name,
        ...(kind.group && { group: kind.group }),
        kind: kind.plural,
        causes: [
          {
            reason: 'FieldValueInvalid',
            message: 'Invalid value: 0x0: must be specified for an update',
            field: 'metadata.resourceVersion',
          },
        ],
      },
    )
  const { object, writes } = commitUpdate(target, old, given)
  await settled(target, ...writes)
  return answer(target, 200, object)
}

/** The endpoints that take a whole object: the kind itself, its status, and the few that write one field. */
export const isUpdatable = ({ subresource, kind }: Target): boolean =>
  subresource === '' ||
  (subresource === 'status' && kind.hasStatus) ||
  (subresource === 'finalize' && isKind(kind, '', 'Namespace')) ||
  (subresource === 'approval' &&
    isKind(kind, 'certificates.k8s.io', 'CertificateSigningRequest')) ||
  (subresource === 'ephemeralcontainers' && isKind(kind, '', 'Pod'))

const takesUnconditional = ({ kind }: Target): boolean =>
  kind.flavour === 'builtin' && kind.unconditionalUpdate !== false

const withoutVersion = (object: KubeObject): KubeObject => ({
  ...object,
  metadata: without(object.metadata, 'resourceVersion'),
})

/**
 * Checks `given` (storage version) against `old`, merges what this endpoint may write, admits and stores it. Must be
 * called in the same synchronous step in which `old` was read. `applied`: the field managers after a server-side apply.
 */
export function commitUpdate(
  target: Target,
  old: KubeObject,
  given: KubeObject,
  applied?: readonly Entry[],
): Committed {
  const { kind, name, subresource } = target
  checkIdentity(target, old, given)
  const merged = mergeWriter(target, old, given)
  const prepared =
    isKind(kind, '', 'Namespace') && subresource !== 'finalize'
      ? updatedNamespace(merged, old)
      : merged
  const problems = metadataProblems(kind, prepared, old)
  if (problems.length > 0) throw invalid(kind, name, problems)
  const admitted = admit(target, 'UPDATE', prepared, old)
  const requested = applied ? undefined : requestedEntries(target, old, given.metadata)
  return replace(target, old, admitted, {
    ...(applied && { applied }),
    ...(requested && { requested }),
  })
}

function checkIdentity({ kind, name }: Target, old: KubeObject, given: KubeObject): void {
  const { uid, resourceVersion } = given.metadata
  if (uid && uid !== old.metadata.uid)
    throw conflict(
      kind,
      name,
      `StorageError: invalid object, Code: 4, Key: ${name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`,
    )
  if (resourceVersion && resourceVersion !== old.metadata.resourceVersion) {
    if (!/^\d+$/.test(resourceVersion))
      throw badRequest(
        `Invalid value: ${JSON.stringify(resourceVersion)}: strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`,
      )
    throw conflict(kind, name)
  }
}

/** `old` with the parts of `given` that this endpoint writes. */
function mergeWriter(
  { kind, subresource }: Target,
  old: KubeObject,
  given: KubeObject,
): KubeObject {
  switch (subresource) {
    case 'status': {
      const status = { status: open(given)['status'] }
      const base = status.status === undefined ? without(old, 'status') : { ...old, ...status }
      // The node agent speaks through status; only its two kinds take metadata along.
      const speaks = isKind(kind, '', 'Pod') || isKind(kind, '', 'Node')
      if (speaks) return { ...base, metadata: updatedMetadata(given.metadata, old.metadata) }
      // The Deployment controller notes the revision in an annotation, which must not count as a new wish.
      if (!isKind(kind, 'apps', 'Deployment')) return base
      const { annotations } = given.metadata
      const { annotations: _, ...metadata } = old.metadata
      return { ...base, metadata: { ...metadata, ...(annotations && { annotations }) } }
    }
    case 'approval': {
      // Conditions are the approver's word; the certificate is the signer's.
      const { conditions } = fieldsOf(open(given)['status'])
      const status = { status: { ...fieldsOf(open(old)['status']), conditions } }
      return { ...old, ...status }
    }
    case 'finalize': {
      const { finalizers } = fieldsOf(open(given)['spec'])
      const spec = { spec: { ...fieldsOf(open(old)['spec']), finalizers: finalizers ?? [] } }
      return { ...old, ...spec }
    }
    case 'ephemeralcontainers': {
      const { ephemeralContainers } = fieldsOf(open(given)['spec'])
      const spec = { spec: { ...fieldsOf(open(old)['spec']), ephemeralContainers } }
      return { ...old, ...spec }
    }
    default: {
      const next = { ...given, metadata: updatedMetadata(given.metadata, old.metadata) }
      if (!kind.hasStatus) return next
      const status = open(old)['status']
      const kept = { status }
      return status === undefined ? without(next, 'status') : { ...next, ...kept }
    }
  }
}

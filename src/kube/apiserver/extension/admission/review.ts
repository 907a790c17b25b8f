/** AdmissionReview (admission.k8s.io/v1): what a webhook is told of a write, and how its answer is read. */
import type { KubeObject } from '../../../api/meta.ts'
import { withManagedFields } from '../../apply/tracking.ts'
import { present } from '../../machinery.ts'
import { scaleOf } from '../../verbs/scale.ts'
import { fieldsOf, isRecord } from '../../values.ts'
import { WebhookFailure } from '../webhook-caller.ts'
import type { Write } from './matching.ts'

const optionKinds = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
  CONNECT: '',
} as const

/** An object of the write in one of the versions of its kind. May throw `Awaiting`. */
export function inVersion(
  { target }: Write,
  object: KubeObject | undefined,
  version: string,
): KubeObject | null {
  if (!object) return null
  const { kind, subresource, machinery } = target
  if (subresource === 'scale' && kind.scale) return scaleOf(kind.scale, object)
  const served =
    version === target.version ? target : machinery.registry.find(kind.group, version, kind.plural)
  return withManagedFields(kind, served ? present(served, object) : object, version)
}

/** `request` of a review; `version` is the one in which the webhook wants the object. */
export function reviewRequest(write: Write, version: string): Readonly<Record<string, unknown>> {
  const { target, operation, object, old } = write
  const { kind, request, subresource } = target
  const scaled = subresource === 'scale' && kind.scale !== undefined
  const kindIn = (each: string) =>
    operation === 'CONNECT' && object
      ? { group: '', version: 'v1', kind: object.kind }
      : scaled
        ? { group: 'autoscaling', version: 'v1', kind: 'Scale' }
        : { group: kind.group, version: each, kind: kind.kind }
  const resourceIn = (each: string) => ({
    group: kind.group,
    version: each,
    resource: kind.plural,
  })
  const { username, uid, groups, extra } = request.user
  const name = target.name || nameIn(write)
  const { fieldManager, fieldValidation, dryRun, propagationPolicy, gracePeriodSeconds } =
    request.options
  const optionsKind =
    operation === 'UPDATE' && request.verb === 'patch' ? 'PatchOptions' : optionKinds[operation]
  return {
    kind: kindIn(version),
    resource: resourceIn(version),
    ...(subresource && { subResource: subresource }),
    requestKind: kindIn(target.version),
    requestResource: resourceIn(target.version),
    ...(subresource && { requestSubResource: subresource }),
    ...(name && { name }),
    ...(target.namespace && { namespace: target.namespace }),
    operation,
    userInfo: { username, ...(uid !== undefined && { uid }), groups, ...(extra && { extra }) },
    object: inVersion(write, object, version),
    oldObject: inVersion(write, old, version),
    dryRun: dryRun ?? false,
    options:
      operation === 'CONNECT'
        ? null
        : {
            kind: optionsKind,
            apiVersion: 'meta.k8s.io/v1',
            ...(dryRun && { dryRun: ['All'] }),
            ...(fieldManager !== undefined && { fieldManager }),
            ...(fieldValidation !== undefined && { fieldValidation }),
            ...(operation === 'DELETE' && propagationPolicy !== undefined && { propagationPolicy }),
            ...(operation === 'DELETE' &&
              gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
          },
  }
}

/** A name that the server makes up is not the client's to speak of. */
function nameIn({ object, old }: Write): string {
  const { name, generateName } = (object ?? old)?.metadata ?? { name: '' }
  return generateName && !old ? '' : name
}

export interface Answer {
  readonly allowed: boolean
  /** Operations of a JSON patch, if it changes the object. */
  readonly patch: readonly unknown[] | undefined
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
  readonly status: {
    readonly message: string
    readonly reason: string
    readonly code: number
  }
}

/** The forms of a review that are spoken; a webhook names those that it takes, the best first. */
export type ReviewVersion = 'v1' | 'v1beta1'

export const isReviewVersion = (version: string): version is ReviewVersion =>
  version === 'v1' || version === 'v1beta1'

/** Reads a review's answer. Throws WebhookFailure when it is none. */
export function readAnswer(
  body: unknown,
  uid: string,
  mayPatch: boolean,
  version: ReviewVersion,
): Answer {
  if (!isRecord(body)) throw new WebhookFailure('expected an AdmissionReview, got no object')
  const { kind, apiVersion, response } = body
  // The old form was not particular about what it is called, whom it answers, and how it patches.
  const strict = version === 'v1'
  if (strict && (kind !== 'AdmissionReview' || apiVersion !== 'admission.k8s.io/v1'))
    throw new WebhookFailure(
      `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${String(apiVersion)}, Kind=${String(kind)}`,
    )
  if (!isRecord(response))
    throw new WebhookFailure('webhook response did not have response field set')
  if (strict && response['uid'] !== uid)
    throw new WebhookFailure(
      `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response['uid'] ?? '')}`,
    )
  const { message, reason, code } = fieldsOf(response['status'])
  return {
    allowed: response['allowed'] === true,
    patch: patchOf(response, mayPatch, strict),
    warnings: Array.isArray(response['warnings'])
      ? response['warnings'].filter((each): each is string => typeof each === 'string')
      : [],
    auditAnnotations: Object.fromEntries(
      Object.entries(fieldsOf(response['auditAnnotations'])).map(([key, value]) => [
        key,
        String(value),
      ]),
    ),
    status: {
      message: typeof message === 'string' ? message : '',
      reason: typeof reason === 'string' ? reason : '',
      code: typeof code === 'number' ? code : 0,
    },
  }
}

function patchOf(
  response: Readonly<Record<string, unknown>>,
  mayPatch: boolean,
  strict: boolean,
): readonly unknown[] | undefined {
  const { patch, patchType } = response
  if (patch === undefined || patch === null || patch === '') {
    if (patchType !== undefined && patchType !== null && patchType !== '')
      throw new WebhookFailure('webhook returned response.patchType but not response.patch')
    return undefined
  }
  if (!mayPatch) throw new WebhookFailure('validating webhook may not return response.patch')
  if (strict && patchType !== 'JSONPatch')
    throw new WebhookFailure(
      `webhook returned invalid response.patchType of ${JSON.stringify(patchType ?? '')}`,
    )
  try {
    const operations: unknown = JSON.parse(
      Buffer.from(typeof patch === 'string' ? patch : '', 'base64').toString('utf8'),
    )
    if (Array.isArray(operations)) return operations
  } catch {
    // Said below.
  }
  throw new WebhookFailure('webhook returned a patch that is no list of operations')
}

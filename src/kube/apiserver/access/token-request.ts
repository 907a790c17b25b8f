/** POST serviceaccounts/<name>/token: a TokenRequest, answered with a token. Nothing is stored. */
import { rfc3339 } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import { badRequest, conflict, invalid, notFound } from '../../api/status-error.ts'
import { answerBody, readStored, storedObject } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { fieldsOf, isRecord, open } from '../values.ts'
import type { Fields } from '../values.ts'
import type { Bound, ServiceAccountTokens } from './service-account-tokens.ts'

const tokenRequest = {
  group: 'authentication.k8s.io',
  kind: 'TokenRequest',
  plural: 'tokenrequests',
}
const apiVersion = 'authentication.k8s.io/v1'

const defaultSeconds = 3600
const leastSeconds = 600
const mostSeconds = 2 ** 32
/**
 * What Kubernetes' node agent asks for a pod: programs that read their token once and never again shall not fail after
 * an hour, so such tokens live a year in truth.
 */
const mountedSeconds = 3607
const mountedLifeSeconds = 365 * 24 * 3600
const maxAudiences = 64

/** Answers the request. Throws BadRequest, Conflict, Invalid or NotFound. */
export function issueToken(target: Target, tokens: ServiceAccountTokens): ApiResponse {
  const { request, name, namespace, machinery } = target
  const account = storedObject(target)
  const body = request.body
  if (!isRecord(body) || (body['kind'] ?? 'TokenRequest') !== 'TokenRequest')
    throw badRequest('the object provided is unrecognized (must be of type TokenRequest)')
  const metadata = fieldsOf(body['metadata'])
  if ((metadata['name'] || name) !== name)
    throw badRequest(
      `the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`,
    )
  if ((metadata['namespace'] || namespace) !== namespace)
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request`,
    )
  const spec = fieldsOf(body['spec'])
  const seconds = lifeOf(spec)
  const audiences = audiencesOf(spec)
  const bound = boundObject(target, account, spec)
  const meant = audiences.length > 0 ? audiences : tokens.audiences
  const mounted =
    bound.pod !== undefined &&
    seconds === mountedSeconds &&
    meant.every((each) => tokens.audiences.includes(each))
  const token = tokens.issue({
    account,
    bound,
    audiences,
    lifeSeconds: mounted ? mountedLifeSeconds : seconds,
    ...(mounted && { warnAfterSeconds: seconds }),
  })
  const nowMs = machinery.clock.now()
  return answerBody(target, 201, {
    kind: 'TokenRequest',
    apiVersion,
    metadata: { name, namespace, creationTimestamp: rfc3339(nowMs) },
    spec: {
      audiences: meant,
      expirationSeconds: seconds,
      boundObjectRef: isRecord(spec['boundObjectRef']) ? spec['boundObjectRef'] : null,
    },
    status: { token, expirationTimestamp: rfc3339(nowMs + seconds * 1000) },
  })
}

function lifeOf({ expirationSeconds = defaultSeconds }: Fields): number {
  const seconds = expirationSeconds ?? defaultSeconds
  if (typeof seconds !== 'number' || !Number.isInteger(seconds))
    throw badRequest(
      'TokenRequest in version "v1" cannot be handled as a TokenRequest: json: cannot unmarshal value into Go struct field TokenRequestSpec.spec.expirationSeconds of type int64',
    )
  const why =
    seconds < leastSeconds
      ? 'may not specify a duration less than 10 minutes'
      : seconds > mostSeconds
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined
  if (why === undefined) return seconds
  throw invalid(tokenRequest, '', [
    {
      reason: 'FieldValueInvalid',
      field: 'spec.expirationSeconds',
      detail: `Invalid value: ${seconds}: ${why}`,
    },
  ])
}

function audiencesOf({ audiences }: Fields): readonly string[] {
  if (audiences === undefined || audiences === null) return []
  if (!Array.isArray(audiences) || !audiences.every((each) => typeof each === 'string'))
    throw badRequest(
      'TokenRequest in version "v1" cannot be handled as a TokenRequest: json: cannot unmarshal value into Go struct field TokenRequestSpec.spec.audiences of type string',
    )
  if (audiences.length > maxAudiences)
    throw invalid(tokenRequest, '', [
      {
        reason: 'FieldValueTooMany',
        field: 'spec.audiences',
        detail: `Too many: ${audiences.length}: must have at most ${maxAudiences} items`,
      },
    ])
  return audiences
}

const bindable: Readonly<
  Record<string, { readonly plural: string; readonly namespaced: boolean }>
> = {
  Pod: { plural: 'pods', namespaced: true },
  Secret: { plural: 'secrets', namespaced: true },
  Node: { plural: 'nodes', namespaced: false },
}

function boundObject(target: Target, account: KubeObject, spec: Fields): Bound {
  if (!isRecord(spec['boundObjectRef'])) return {}
  const { kind, apiVersion: version, name, uid } = spec['boundObjectRef']
  const found = typeof kind === 'string' ? bindable[kind] : undefined
  if (!found || typeof kind !== 'string' || (version ?? 'v1') !== 'v1' || typeof name !== 'string')
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(target.name)} to object of type ${JSON.stringify(`${String(version)}, Kind=${String(kind)}`)}`,
    )
  const resource = { group: '', plural: found.plural, kind }
  const namespace = found.namespaced ? target.namespace : ''
  const object = name.includes('/')
    ? undefined
    : readStored(target.machinery, resource, { namespace, name })
  if (!object) throw notFound(resource, name)
  if (typeof uid === 'string' && uid !== '' && uid !== object.metadata.uid)
    throw conflict(
      { ...resource, plural: kind },
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  if (kind === 'Secret') return { secret: object }
  if (kind === 'Node') return { node: object }
  const runsAs = fieldsOf(open(object)['spec'])['serviceAccountName']
  if ((runsAs || 'default') !== account.metadata.name)
    throw badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(target.name)} to pod running with different serviceaccount name.`,
    )
  return { pod: object }
}

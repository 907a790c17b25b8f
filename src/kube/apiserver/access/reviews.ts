/** The review APIs that ask "who am I" and "may I": POSTs that store nothing. */
import type { UserInfo } from '../../api/kind.ts'
import type { ApiRequest, ApiResponse } from '../../api/protocol.ts'
import { badRequest, invalid } from '../../api/status-error.ts'
import { fieldsOf, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'
import type { Access } from './access.ts'
import type { Attributes, Decision } from './authorization.ts'

/** Where reviews are served. v1beta1 is for kubectl 1.27, whose `auth whoami` knows nothing newer. */
export const reviewGroupVersions: readonly string[] = [
  'authentication.k8s.io/v1',
  'authentication.k8s.io/v1beta1',
  'authorization.k8s.io/v1',
]

/** Answers a review; undefined when the request is for something else. Throws BadRequest and Invalid. */
export function review(request: ApiRequest, access: Access): Promise<ApiResponse> | undefined {
  if (request.verb !== 'create') return undefined
  if (!reviewGroupVersions.includes(`${request.group}/${request.version}`)) return undefined
  const found = reviews[`${request.group}/${request.resource}`]
  if (!found || (request.version === 'v1beta1' && found.kind !== 'SelfSubjectReview'))
    return undefined
  return answer(request, access, found)
}

interface Review {
  readonly kind: string
  status(spec: Fields, request: ApiRequest, access: Access): Fields | Promise<Fields>
}

async function answer(request: ApiRequest, access: Access, review_: Review): Promise<ApiResponse> {
  const { kind } = review_
  const body = request.body ?? {}
  if (!isRecord(body) || (body['kind'] || kind) !== kind)
    throw badRequest(`the object provided is unrecognized (must be of type ${kind})`)
  return {
    code: 201,
    body: {
      ...body,
      apiVersion: `${request.group}/${request.version}`,
      kind,
      metadata: { ...fieldsOf(body['metadata']), creationTimestamp: null },
      status: await review_.status(fieldsOf(body['spec']), request, access),
    },
  }
}

const subjectAccess = (kind: string): Review => ({
  kind,
  status(spec, { namespace, name = '' }, { authorizer }) {
    const { user, groups } = spec
    if (!user && (!Array.isArray(groups) || groups.length === 0))
      throw invalid(authorization(kind), name, [
        {
          reason: 'FieldValueRequired',
          field: 'spec.user',
          detail: 'Required value: at least one of user or group must be specified',
        },
      ])
    const within = text(fieldsOf(spec['resourceAttributes'])['namespace'])
    if (kind === 'LocalSubjectAccessReview' && within !== namespace)
      throw invalid(authorization(kind), name, [
        {
          reason: 'FieldValueInvalid',
          field: 'spec.resourceAttributes.namespace',
          detail: `Invalid value: ${JSON.stringify(within)}: must match metadata.namespace: ${namespace ?? ''}`,
        },
      ])
    return decision(authorizer.explain(subject(spec), attributesOf(kind, spec)))
  },
})

const reviews: Readonly<Record<string, Review>> = {
  'authentication.k8s.io/selfsubjectreviews': {
    kind: 'SelfSubjectReview',
    status: (_spec, { user }) => ({ userInfo: userFields(user) }),
  },
  'authentication.k8s.io/tokenreviews': {
    kind: 'TokenReview',
    async status(spec, _request, access) {
      const token = text(spec['token'])
      if (token === '')
        throw invalid({ group: 'authentication.k8s.io', kind: 'TokenReview', plural: '' }, '', [
          { reason: 'FieldValueRequired', field: 'spec.token', detail: 'Required value' },
        ])
      const asked = texts(spec['audiences'])
      const found = await access.holder(token, asked)
      return found
        ? { authenticated: true, user: userFields(found.user), audiences: found.audiences }
        : { user: {}, error: 'invalid bearer token' }
    },
  },
  'authorization.k8s.io/selfsubjectaccessreviews': {
    kind: 'SelfSubjectAccessReview',
    status: (spec, { user }, { authorizer }) =>
      decision(authorizer.explain(user, attributesOf('SelfSubjectAccessReview', spec))),
  },
  'authorization.k8s.io/subjectaccessreviews': subjectAccess('SubjectAccessReview'),
  'authorization.k8s.io/localsubjectaccessreviews': subjectAccess('LocalSubjectAccessReview'),
  'authorization.k8s.io/selfsubjectrulesreviews': {
    kind: 'SelfSubjectRulesReview',
    status(spec, { user }, { authorizer }) {
      const namespace = text(spec['namespace'])
      if (namespace === '') throw badRequest('no namespace on request')
      const rules = authorizer.rulesOf(user, namespace)
      return {
        resourceRules: rules
          .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length === 0)
          .map(({ verbs, apiGroups = [], resources = [], resourceNames }) => ({
            verbs,
            apiGroups,
            resources,
            ...(resourceNames && resourceNames.length > 0 && { resourceNames }),
          })),
        nonResourceRules: rules
          .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length > 0)
          .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
        incomplete: false,
      }
    },
  },
}

const authorization = (kind: string) => ({ group: 'authorization.k8s.io', kind, plural: '' })

const decision = ({ allowed, reason }: Decision): Fields => ({
  allowed,
  ...(reason !== '' && { reason }),
})

/** A user as reviews tell him. */
export const userFields = ({ username, groups, uid, extra }: UserInfo): Fields => ({
  username,
  ...(uid !== undefined && uid !== '' && { uid }),
  groups,
  ...(extra && Object.keys(extra).length > 0 && { extra }),
})

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []

const subject = ({ user, groups, uid }: Fields): UserInfo => ({
  username: text(user),
  groups: texts(groups),
  ...(typeof uid === 'string' && { uid }),
})

function attributesOf(kind: string, spec: Fields): Attributes {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec
  if (isRecord(resource) === isRecord(path))
    throw invalid(authorization(kind), '', [
      {
        reason: 'FieldValueInvalid',
        field: 'spec',
        detail: `Invalid value: ${JSON.stringify(spec)}: exactly one of nonResourceAttributes or resourceAttributes must be specified`,
      },
    ])
  if (isRecord(path)) return { path: text(path['path']), verb: text(path['verb']) }
  const of = (name: string): string => text(fieldsOf(resource)[name])
  return {
    verb: of('verb'),
    group: of('group'),
    resource: of('resource'),
    subresource: of('subresource'),
    namespace: of('namespace'),
    name: of('name'),
  }
}

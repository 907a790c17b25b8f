/** The review APIs that ask "who am I" and "may I": POSTs that store nothing (contracts/kube §7.4). */
import type { UserInfo } from '../api/kind.ts'
import type { ApiRequest, ApiResponse } from '../api/protocol.ts'
import { authorize } from './authorization.ts'
import { fieldsOf } from './values.ts'
import type { Fields } from './values.ts'

/** Where reviews are served. v1beta1 is for kubectl 1.27, whose `auth whoami` knows nothing newer. */
export const reviewGroupVersions: readonly string[] = [
  'authentication.k8s.io/v1',
  'authentication.k8s.io/v1beta1',
  'authorization.k8s.io/v1',
]

/** Answers a review; undefined when the request is for something else. */
export function review(request: ApiRequest): ApiResponse | undefined {
  if (request.verb !== 'create') return undefined
  if (!reviewGroupVersions.includes(`${request.group}/${request.version}`)) return undefined
  const status = statusOf(request)
  if (!status) return undefined
  const body = fieldsOf(request.body)
  return {
    code: 201,
    body: {
      ...body,
      apiVersion: `${request.group}/${request.version}`,
      kind: status.kind,
      metadata: { ...fieldsOf(body['metadata']), creationTimestamp: null },
      status: status.status,
    },
  }
}

function statusOf(
  request: ApiRequest,
): { readonly kind: string; readonly status: Fields } | undefined {
  const { user } = request
  const spec = fieldsOf(fieldsOf(request.body)['spec'])
  switch (`${request.group}/${request.resource}`) {
    case 'authentication.k8s.io/selfsubjectreviews':
      return { kind: 'SelfSubjectReview', status: { userInfo: userFields(user) } }
    case 'authorization.k8s.io/selfsubjectaccessreviews':
      return { kind: 'SelfSubjectAccessReview', status: decision(user, spec) }
    case 'authorization.k8s.io/subjectaccessreviews':
      return { kind: 'SubjectAccessReview', status: decision(subject(spec), spec) }
    case 'authorization.k8s.io/localsubjectaccessreviews':
      return { kind: 'LocalSubjectAccessReview', status: decision(subject(spec), spec) }
    case 'authorization.k8s.io/selfsubjectrulesreviews':
      return { kind: 'SelfSubjectRulesReview', status: rules(user) }
    default:
      return undefined
  }
}

const userFields = ({ username, groups, uid }: UserInfo): Fields => ({
  username,
  groups,
  ...(uid !== undefined && { uid }),
})

function subject(spec: Fields): UserInfo {
  const { user, groups } = spec
  return {
    username: typeof user === 'string' ? user : '',
    groups: Array.isArray(groups) ? groups.filter((each) => typeof each === 'string') : [],
  }
}

function decision(user: UserInfo, spec: Fields): Fields {
  const resource = fieldsOf(spec['resourceAttributes'])
  const nonResource = fieldsOf(spec['nonResourceAttributes'])
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  const refusal = spec['nonResourceAttributes']
    ? authorize(user, { path: text(nonResource['path']), verb: text(nonResource['verb']) })
    : authorize(user, {
        verb: text(resource['verb']),
        group: text(resource['group']),
        resource: text(resource['resource']),
        subresource: text(resource['subresource']),
        namespace: text(resource['namespace']),
        name: text(resource['name']),
      })
  return { allowed: refusal === undefined }
}

function rules(user: UserInfo): Fields {
  const all = authorize(user, {
    verb: '*',
    group: '*',
    resource: '*',
    subresource: '',
    namespace: '',
    name: '',
  })
  return all === undefined
    ? {
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      }
    : { resourceRules: [], nonResourceRules: [], incomplete: false }
}

/**
 * Who may do what: `system:masters` everything, the others what roles give them. Refusals are in
 * Kubernetes' words, which people paste into search engines and programs match.
 */
import type { UserInfo } from '../../api/kind.ts'
import type { PolicyRule } from '../../api/policy-rule.ts'
import { StatusError } from '../../api/status-error.ts'
import type { Grant, RoleIndex } from './rbac/role-index.ts'

export type Attributes =
  | { readonly path: string; readonly verb: string }
  | {
      readonly verb: string
      readonly group: string
      readonly resource: string
      readonly subresource: string
      readonly namespace: string
      readonly name: string
    }

/** Undefined when the user may; else the refusal, to be thrown. */
export type Authorize = (user: UserInfo, attributes: Attributes) => StatusError | undefined

export interface Decision {
  readonly allowed: boolean
  /** Why, for people; may be empty. */
  readonly reason: string
}

export interface Authorizer {
  readonly authorize: Authorize
  explain(user: UserInfo, attributes: Attributes): Decision
  /** All that the user may do in a namespace. */
  rulesOf(user: UserInfo, namespace: string): readonly PolicyRule[]
}

/** May do everything, whatever the roles say, so that nobody can lock himself out. */
export const isMaster = ({ groups }: UserInfo): boolean => groups.includes('system:masters')

export const authorizer = (roles: RoleIndex): Authorizer => ({
  authorize(user, attributes) {
    if (isMaster(user)) return undefined
    const problems: string[] = []
    if (roles.grant(user, attributes, problems)) return undefined
    return refusal(user, attributes, resolutionText(problems))
  },
  explain(user, attributes) {
    if (isMaster(user)) return { allowed: true, reason: '' }
    const problems: string[] = []
    const grant = roles.grant(user, attributes, problems)
    return grant
      ? { allowed: true, reason: grantText(grant) }
      : { allowed: false, reason: resolutionText(problems) }
  },
  rulesOf: (user, namespace) => [
    ...(isMaster(user) ? everything : []),
    ...roles.rulesOf(user, namespace),
  ],
})

const everything: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

function resolutionText(problems: readonly string[]): string {
  const [first, ...others] = [...new Set(problems)]
  if (first === undefined) return ''
  return `RBAC: ${others.length === 0 ? first : `[${[first, ...others].join(', ')}]`}`
}

/** `RBAC: allowed by RoleBinding "rb1/default" of Role "r1" to ServiceAccount "sa1/default"`. */
function grantText({ binding: { kind, metadata, roleRef }, subject }: Grant): string {
  const named = metadata.namespace ? `${metadata.name}/${metadata.namespace}` : metadata.name
  const whom =
    subject.kind === 'ServiceAccount'
      ? `${subject.name}/${subject.namespace || (metadata.namespace ?? '')}`
      : subject.name
  const quoted = JSON.stringify
  return `RBAC: allowed by ${kind} ${quoted(named)} of ${roleRef.kind} ${quoted(roleRef.name)} to ${subject.kind} ${quoted(whom)}`
}

/** 403 for a request; `reason` is appended. */
export function refusal(user: UserInfo, attributes: Attributes, reason = ''): StatusError {
  const who = `User ${JSON.stringify(user.username)}`
  const why = reason === '' ? '' : `: ${reason}`
  if ('path' in attributes)
    return new StatusError(
      'Forbidden',
      `forbidden: ${who} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${why}`,
    )
  const { verb, group, resource, subresource, namespace, name } = attributes
  const qualified = group ? `${resource}.${group}` : resource
  const named = name ? `${qualified} ${JSON.stringify(name)}` : qualified
  const what = subresource ? `${resource}/${subresource}` : resource
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope'
  return new StatusError(
    'Forbidden',
    `${named} is forbidden: ${who} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}${why}`,
    { ...(name && { name }), ...(group && { group }), kind: resource },
  )
}

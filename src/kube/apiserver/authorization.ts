/**
 * Who may do what. Until roles are served there are two kinds of callers: `system:masters`, who may do everything, and
 * the others, who may ask for health, version and who they are; authenticated ones also read discovery.
 */
import type { UserInfo } from '../api/kind.ts'
import { StatusError } from '../api/status-error.ts'

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

const publicPaths = ['/healthz', '/livez', '/readyz', '/version']
const discoveryPaths = ['/api', '/apis', '/openapi']
const selfReviews = new Set([
  'selfsubjectaccessreviews',
  'selfsubjectrulesreviews',
  'selfsubjectreviews',
])

/** Undefined when the user may; else the refusal, to be thrown. */
export function authorize(user: UserInfo, attributes: Attributes): StatusError | undefined {
  if (user.groups.includes('system:masters')) return undefined
  const authenticated = user.groups.includes('system:authenticated')
  if ('path' in attributes) {
    const under = (roots: readonly string[]): boolean =>
      roots.some((root) => attributes.path === root || attributes.path.startsWith(`${root}/`))
    if (attributes.verb === 'get' && under(publicPaths)) return undefined
    if (attributes.verb === 'get' && authenticated && under(discoveryPaths)) return undefined
    return new StatusError(
      'Forbidden',
      `forbidden: User ${JSON.stringify(user.username)} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`,
    )
  }
  const { verb, group, resource, subresource, namespace, name } = attributes
  if (authenticated && verb === 'create' && selfReviews.has(resource)) return undefined
  const qualified = group ? `${resource}.${group}` : resource
  const named = name ? `${qualified} ${JSON.stringify(name)}` : qualified
  const what = subresource ? `${resource}/${subresource}` : resource
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope'
  return new StatusError(
    'Forbidden',
    `${named} is forbidden: User ${JSON.stringify(user.username)} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`,
    { ...(name && { name }), ...(group && { group }), kind: resource },
  )
}

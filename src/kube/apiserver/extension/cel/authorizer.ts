/** `authorizer` of expressions: asks what the user of the request may do (apiserver `cel/library/authz`). */
import type { Environment } from '@marcbachmann/cel-js'
import type { UserInfo } from '../../../api/kind.ts'
import type { Authorizer } from '../../access/authorization.ts'

interface Check {
  readonly path?: string
  readonly group?: string
  readonly resource?: string
  readonly subresource?: string
  readonly namespace?: string
  readonly name?: string
}

class CelAuthorizer {
  readonly user: UserInfo
  readonly authorizer: Authorizer
  readonly check: Check

  constructor(user: UserInfo, authorizer: Authorizer, check: Check = {}) {
    this.user = user
    this.authorizer = authorizer
    this.check = check
  }
}

class PathCheck extends CelAuthorizer {}
class GroupCheck extends CelAuthorizer {}
class ResourceCheck extends CelAuthorizer {}

class Decision {
  readonly allowed: boolean
  readonly reason: string

  constructor(allowed: boolean, reason: string) {
    this.allowed = allowed
    this.reason = reason
  }
}

export const celAuthorizer = (user: UserInfo, authorizer: Authorizer): unknown =>
  new CelAuthorizer(user, authorizer)

const root = 'kubernetes.authorization.Authorizer'
const path = 'kubernetes.authorization.PathCheck'
const group = 'kubernetes.authorization.GroupCheck'
const resource = 'kubernetes.authorization.ResourceCheck'
const decision = 'kubernetes.authorization.Decision'

export function registerAuthorizer(environment: Environment): void {
  environment.registerType(root, CelAuthorizer)
  environment.registerType(path, PathCheck)
  environment.registerType(group, GroupCheck)
  environment.registerType(resource, ResourceCheck)
  environment.registerType(decision, Decision)
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, { async: false })
  type Made = new (user: UserInfo, authorizer: Authorizer, check: Check) => CelAuthorizer
  const narrow = (from: string, name: string, to: string, make: Made) =>
    add(
      `${from}.${name}(string): ${to}`,
      ({ user, authorizer, check }: CelAuthorizer, value: string) =>
        new make(user, authorizer, { ...check, [name]: value }),
    )
  narrow(root, 'path', path, PathCheck)
  narrow(root, 'group', group, GroupCheck)
  narrow(group, 'resource', resource, ResourceCheck)
  for (const name of ['subresource', 'namespace', 'name'])
    narrow(resource, name, resource, ResourceCheck)
  add(
    `${root}.serviceAccount(string, string): ${root}`,
    ({ authorizer }: CelAuthorizer, namespace: string, name: string) =>
      new CelAuthorizer(
        {
          username: `system:serviceaccount:${namespace}:${name}`,
          groups: [
            'system:serviceaccounts',
            `system:serviceaccounts:${namespace}`,
            'system:authenticated',
          ],
        },
        authorizer,
      ),
  )
  add(`${path}.check(string): ${decision}`, decide)
  add(`${resource}.check(string): ${decision}`, decide)
  add(`${decision}.allowed(): bool`, ({ allowed }: Decision) => allowed)
  add(`${decision}.reason(): string`, ({ reason }: Decision) => reason)
  add(`${decision}.errored(): bool`, () => false)
  add(`${decision}.error(): string`, () => '')
}

function decide({ user, authorizer, check }: CelAuthorizer, verb: string): Decision {
  const { allowed, reason } = authorizer.explain(
    user,
    check.path !== undefined
      ? { path: check.path, verb }
      : {
          verb,
          group: check.group ?? '',
          resource: check.resource ?? '',
          subresource: check.subresource ?? '',
          namespace: check.namespace ?? '',
          name: check.name ?? '',
        },
  )
  return new Decision(allowed, reason)
}

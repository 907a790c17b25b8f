/**
 * Nobody gives what he has not: who writes a role must hold its rules, or `escalate` on it; who
 * binds a role must hold its rules, or `bind` on it. Follows Kubernetes' policy-based registries in order and words.
 */
import { groupKind, type AdmissionContext, type UserInfo } from '../../../api/kind.ts'
import { ClusterRole } from '../../../api/cluster-role.ts'
import { ClusterRoleBinding } from '../../../api/cluster-role-binding.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { rbacGroup, type Binding, type PolicyRule } from '../../../api/policy-rule.ts'
import { Role } from '../../../api/role.ts'
import { RoleBinding } from '../../../api/role-binding.ts'
import { forbidden, notFound } from '../../../api/status-error.ts'
import type { AdmissionPlugin } from '../../machinery.ts'
import { equal, without } from '../../values.ts'
import { isMaster, type Authorizer } from '../authorization.ts'
import type { RoleIndex } from './role-index.ts'
import { missingRights, quotedList, ruleText } from './rules.ts'

/** One check each for the four kinds. */
export function escalationChecks(
  authorizer: Authorizer,
  roles: RoleIndex,
): readonly AdmissionPlugin[] {
  return [Role, ClusterRole, RoleBinding, ClusterRoleBinding].map((kind) => ({
    kind,
    admit(object: KubeObject, context: AdmissionContext): KubeObject {
      const { user, old } = context
      if (isMaster(user) || (old && onlyLoosens(old, object))) return object
      const refuse = (why: string) => forbidden(kind, object.metadata.name, why)
      const isRole =
        groupKind(kind) === groupKind(Role) || groupKind(kind) === groupKind(ClusterRole)
      const namespace = object.metadata.namespace ?? ''
      const may = (verb: string, resource: string, name: string): boolean =>
        authorizer.authorize(user, {
          verb,
          group: rbacGroup,
          resource,
          subresource: '',
          namespace,
          name,
        }) === undefined
      const refuseMore = (rules: readonly PolicyRule[]): void => {
        const missing = missingRights(authorizer.rulesOf(user, namespace), rules)
        if (missing.length > 0) throw refuse(escalationText(user, missing))
      }
      if (isRole) {
        if (may('escalate', kind.plural, object.metadata.name)) return object
        const role = object as ClusterRole
        const before = old as ClusterRole | undefined
        // What it will hold some day nobody knows now.
        if (
          (role.aggregationRule || before?.aggregationRule) &&
          missingRights(authorizer.rulesOf(user, ''), everything).length > 0
        )
          throw refuse('must have cluster-admin privileges to use an aggregationRule')
        refuseMore(role.rules ?? [])
        return object
      }
      const { roleRef } = object as Binding
      const resource = roleRef.kind === 'ClusterRole' ? ClusterRole : Role
      if (may('bind', resource.plural, roleRef.name)) return object
      const rules = roles.rulesOfRole(roleRef, namespace)
      if (!rules) throw notFound(resource, roleRef.name)
      refuseMore(rules)
      return object
    },
  }))
}

const everything: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]

/** Owner references and finalizers: what garbage collection changes of things that it has no rights to give. */
function onlyLoosens(old: KubeObject, next: KubeObject): boolean {
  const rest = (object: KubeObject) => ({
    ...object,
    metadata: without(
      object.metadata,
      'ownerReferences',
      'finalizers',
      'managedFields',
      'resourceVersion',
    ),
  })
  return equal(rest(old), rest(next))
}

const escalationText = (user: UserInfo, missing: readonly PolicyRule[]): string =>
  `user ${JSON.stringify(user.username)} (groups=${quotedList(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${missing.map(ruleText).toSorted().join('\n')}`

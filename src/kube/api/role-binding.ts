/** RoleBinding: who has a Role, or a ClusterRole, in one namespace. */
import type { RoleBinding as RoleBindingType } from 'kubernetes-types/rbac/v1.js'
import type { KindDefinition } from './kind.ts'
import { bindingColumns, bindingProblems, rbacGroup, withGroups } from './policy-rule.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid } from './validation.ts'

export type RoleBinding = Stored<RoleBindingType, 'roleRef'>

export const RoleBinding: KindDefinition<RoleBinding> = {
  group: rbacGroup,
  version: 'v1',
  kind: 'RoleBinding',
  plural: 'rolebindings',
  singular: 'rolebinding',
  namespaced: true,
  description: 'A RoleBinding gives a Role or a ClusterRole to somebody, in its namespace.',
  schema: builtin<RoleBinding>('io.k8s.api.rbac.v1.RoleBinding'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  nameRule: 'path',
  createOnUpdate: true,
  columns: bindingColumns,
  admit(given, { old }) {
    const binding = withGroups(given)
    const kinds = ['ClusterRole', 'Role']
    return refuseInvalid(RoleBinding, binding, bindingProblems(binding, old, kinds, true))
  },
}

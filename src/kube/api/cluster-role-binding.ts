/** ClusterRoleBinding: who has a ClusterRole everywhere. */
import type { ClusterRoleBinding as ClusterRoleBindingType } from 'kubernetes-types/rbac/v1.js'
import type { KindDefinition } from './kind.ts'
import { bindingColumns, bindingProblems, rbacGroup, withGroups } from './policy-rule.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid } from './validation.ts'

export type ClusterRoleBinding = Stored<ClusterRoleBindingType, 'roleRef'>

export const ClusterRoleBinding: KindDefinition<ClusterRoleBinding> = {
  group: rbacGroup,
  version: 'v1',
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  singular: 'clusterrolebinding',
  namespaced: false,
  description: 'A ClusterRoleBinding gives a ClusterRole to somebody, in all namespaces.',
  schema: builtin<ClusterRoleBinding>('io.k8s.api.rbac.v1.ClusterRoleBinding'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  nameRule: 'path',
  createOnUpdate: true,
  columns: bindingColumns,
  admit(given, { old }) {
    const binding = withGroups(given)
    const problems = bindingProblems(binding, old, ['ClusterRole'], false)
    return refuseInvalid(ClusterRoleBinding, binding, problems)
  },
}

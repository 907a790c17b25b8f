/** ClusterRole: what may be done anywhere, or wherever a RoleBinding gives it; also a union of others by label. */
import type { ClusterRole as ClusterRoleType } from 'kubernetes-types/rbac/v1.js'
import type { KindDefinition } from './kind.ts'
import { createdAtColumns, rbacGroup, ruleProblems } from './policy-rule.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid, required, type Complaints } from './validation.ts'

export type ClusterRole = Stored<ClusterRoleType>

export const ClusterRole: KindDefinition<ClusterRole> = {
  group: rbacGroup,
  version: 'v1',
  kind: 'ClusterRole',
  plural: 'clusterroles',
  singular: 'clusterrole',
  namespaced: false,
  description:
    'A ClusterRole says what may be done, in all namespaces or, by a RoleBinding, in one of them.',
  schema: builtin<ClusterRole>('io.k8s.api.rbac.v1.ClusterRole'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  nameRule: 'path',
  createOnUpdate: true,
  columns: createdAtColumns,
  admit: (role) => refuseInvalid(ClusterRole, role, problems(role)),
}

function* problems({ rules, aggregationRule }: ClusterRole): Complaints {
  yield* ruleProblems(rules, false)
  if (aggregationRule && (aggregationRule.clusterRoleSelectors ?? []).length === 0)
    yield required(
      'aggregationRule.clusterRoleSelectors',
      'at least one clusterRoleSelector required if aggregationRule is non-nil',
    )
}

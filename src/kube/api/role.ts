/** Role: what may be done in one namespace. */
import type { Role as RoleType } from 'kubernetes-types/rbac/v1.js'
import type { KindDefinition } from './kind.ts'
import { createdAtColumns, rbacGroup, ruleProblems } from './policy-rule.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid } from './validation.ts'

export type Role = Stored<RoleType>

export const Role: KindDefinition<Role> = {
  group: rbacGroup,
  version: 'v1',
  kind: 'Role',
  plural: 'roles',
  singular: 'role',
  namespaced: true,
  description: 'A Role says what may be done in its namespace; a RoleBinding says by whom.',
  schema: builtin<Role>('io.k8s.api.rbac.v1.Role'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  nameRule: 'path',
  createOnUpdate: true,
  columns: createdAtColumns,
  admit: (role) => refuseInvalid(Role, role, ruleProblems(role.rules, true)),
}

/**
 * What the four kinds of RBAC share (rbac.authorization.k8s.io/v1): rules, references to roles, subjects; their
 * defaults and validation in Kubernetes' words.
 */
import type {
  PolicyRule as PolicyRuleType,
  RoleRef as RoleRefType,
  Subject as SubjectType,
} from 'kubernetes-types/rbac/v1.js'
import type { Column } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { ageColumn, nameColumn } from './columns.ts'
import type { DeepReadonly } from './stored.ts'
import { notSupported, required, sameJson, wrong, type Complaints } from './validation.ts'

/** Required, says its schema; absent in what some clients send. */
export type PolicyRule = DeepReadonly<Partial<PolicyRuleType>>
export type RoleRef = DeepReadonly<RoleRefType>
export type Subject = DeepReadonly<SubjectType>

export const rbacGroup = 'rbac.authorization.k8s.io'

export const createdAtColumns: readonly Column[] = [
  nameColumn,
  {
    name: 'Created At',
    type: 'date',
    description: 'When it was made.',
    value: ({ metadata }) => metadata.creationTimestamp,
  },
]

export interface Binding extends KubeObject {
  readonly roleRef: RoleRef
  readonly subjects?: readonly Subject[]
}

const subjectsColumn = (name: string, kind: string): Column<Binding> => ({
  name,
  type: 'string',
  priority: 1,
  description: `${name} that have the role.`,
  value: ({ subjects = [] }) =>
    subjects
      .filter((subject) => subject.kind === kind)
      .map((subject) =>
        kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name,
      )
      .join(', '),
})

export const bindingColumns: readonly Column<Binding>[] = [
  nameColumn,
  {
    name: 'Role',
    type: 'string',
    description: 'The role that is given.',
    value: ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`,
  },
  ageColumn,
  subjectsColumn('Users', 'User'),
  subjectsColumn('Groups', 'Group'),
  subjectsColumn('ServiceAccounts', 'ServiceAccount'),
]

export function* ruleProblems(rules: readonly PolicyRule[] = [], namespaced: boolean): Complaints {
  for (const [i, rule] of rules.entries()) {
    const at = `rules[${i}]`
    const { verbs = [], apiGroups = [], resources = [], resourceNames = [] } = rule
    const { nonResourceURLs = [] } = rule
    if (verbs.length === 0) yield required(`${at}.verbs`, 'verbs must contain at least one value')
    if (nonResourceURLs.length > 0) {
      const field = `${at}.nonResourceURLs`
      if (namespaced)
        yield wrong(field, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs')
      if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0)
        yield wrong(
          field,
          nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        )
      continue
    }
    if (apiGroups.length === 0)
      yield required(`${at}.apiGroups`, 'resource rules must supply at least one api group')
    if (resources.length === 0)
      yield required(`${at}.resources`, 'resource rules must supply at least one resource')
  }
}

/** The groups that a binding's references mean when they name none. */
export function withGroups<T extends Binding>(binding: T): T {
  const { roleRef, subjects } = binding
  const named = { ...binding, roleRef: { ...roleRef, apiGroup: roleRef?.apiGroup || rbacGroup } }
  if (!subjects) return named
  const whole = subjects.map((subject) =>
    subject.apiGroup || (subject.kind !== 'User' && subject.kind !== 'Group')
      ? subject
      : { ...subject, apiGroup: rbacGroup },
  )
  return { ...named, subjects: whole }
}

export function* bindingProblems(
  { roleRef, subjects = [] }: Binding,
  old: Binding | undefined,
  roleKinds: readonly string[],
  namespaced: boolean,
): Complaints {
  if (roleRef.apiGroup !== rbacGroup)
    yield notSupported('roleRef.apiGroup', roleRef.apiGroup, [rbacGroup])
  if (!roleKinds.includes(roleRef.kind))
    yield notSupported('roleRef.kind', roleRef.kind ?? '', roleKinds)
  if (!roleRef.name) yield required('roleRef.name')
  for (const [i, subject] of subjects.entries()) {
    const at = `subjects[${i}]`
    if (!subject.name) yield required(`${at}.name`)
    const group = subject.apiGroup ?? ''
    switch (subject.kind) {
      case 'ServiceAccount':
        if (group !== '') yield notSupported(`${at}.apiGroup`, group, [''])
        if (!namespaced && !subject.namespace) yield required(`${at}.namespace`)
        break
      case 'User':
      case 'Group':
        if (group !== rbacGroup) yield notSupported(`${at}.apiGroup`, group, [rbacGroup])
        break
      default:
        yield notSupported(`${at}.kind`, subject.kind ?? '', ['Group', 'ServiceAccount', 'User'])
    }
  }
  if (old && !sameJson(old.roleRef, roleRef))
    yield wrong('roleRef', roleRef, 'cannot change roleRef')
}

/**
 * ValidatingAdmissionPolicy and its binding: rules in CEL that refuse, warn of or note writes
 * (k8s.io/api/admissionregistration/v1).
 */
import type {
  ValidatingAdmissionPolicy as PolicyType,
  ValidatingAdmissionPolicyBinding as BindingType,
} from 'kubernetes-types/admissionregistration/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { labelSelectorProblems } from './label-selector-problems.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  duplicate,
  fill,
  notAllowed,
  notSupported,
  refuseInvalid,
  required,
  wrong,
  type Complaints,
} from './validation.ts'
import { ruleProblems } from './webhook-problems.ts'

export type ValidatingAdmissionPolicy = Stored<PolicyType, 'spec'>
export type ValidatingAdmissionPolicyBinding = Stored<BindingType, 'spec'>
export type MatchResources = NonNullable<ValidatingAdmissionPolicy['spec']['matchConstraints']>

const shared = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  namespaced: false,
  categories: ['api-extensions'],
  flavour: 'builtin',
  hasGeneration: true,
} as const

export const ValidatingAdmissionPolicy: KindDefinition<ValidatingAdmissionPolicy> = {
  ...shared,
  kind: 'ValidatingAdmissionPolicy',
  plural: 'validatingadmissionpolicies',
  singular: 'validatingadmissionpolicy',
  description:
    'A ValidatingAdmissionPolicy says in CEL which writes are refused; a binding puts it into force.',
  schema: builtin('io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy'),
  hasStatus: true,
  columns: [
    nameColumn,
    {
      name: 'Validations',
      type: 'integer',
      description: 'How many expressions must be true.',
      value: ({ spec }) => spec.validations?.length ?? 0,
    },
    {
      name: 'ParamKind',
      type: 'string',
      description: 'The kind of its parameters.',
      value: ({ spec: { paramKind } }) =>
        paramKind ? `${paramKind.apiVersion}/${paramKind.kind}` : '<unset>',
    },
    ageColumn,
  ],
  admit(given, { subresource }) {
    if (subresource !== '') return given
    const spec = fill(given.spec ?? {}, { failurePolicy: 'Fail' })
    const filled = {
      ...given,
      spec: {
        ...spec,
        ...(spec.matchConstraints && {
          matchConstraints: withMatchDefaults(spec.matchConstraints),
        }),
      },
      status: { observedGeneration: given.metadata.generation ?? 1, typeChecking: {} },
    }
    return refuseInvalid(ValidatingAdmissionPolicy, filled, policyProblems(filled))
  },
}

export const ValidatingAdmissionPolicyBinding: KindDefinition<ValidatingAdmissionPolicyBinding> = {
  ...shared,
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
  singular: 'validatingadmissionpolicybinding',
  description:
    'A ValidatingAdmissionPolicyBinding puts a policy into force, for some objects and with parameters.',
  schema: builtin('io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding'),
  hasStatus: false,
  columns: [
    nameColumn,
    {
      name: 'PolicyName',
      type: 'string',
      description: 'The policy.',
      value: ({ spec }) => spec.policyName ?? '',
    },
    {
      name: 'ParamRef',
      type: 'string',
      description: 'Its parameters.',
      value: ({ spec: { paramRef } }) =>
        paramRef === undefined
          ? '<unset>'
          : paramRef.name
            ? [paramRef.namespace, paramRef.name].filter(Boolean).join('/')
            : '*',
    },
    ageColumn,
  ],
  admit(given) {
    const { matchResources } = given.spec ?? {}
    const filled = matchResources
      ? { ...given, spec: { ...given.spec, matchResources: withMatchDefaults(matchResources) } }
      : given
    return refuseInvalid(ValidatingAdmissionPolicyBinding, filled, bindingProblems(filled))
  },
}

function withMatchDefaults(match: MatchResources): MatchResources {
  const scoped = (rules: MatchResources['resourceRules']) =>
    rules?.map((rule) => ({ scope: '*', ...rule }))
  const { resourceRules, excludeResourceRules } = match
  return {
    ...fill(match, { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} }),
    ...(resourceRules && { resourceRules: scoped(resourceRules) ?? [] }),
    ...(excludeResourceRules && { excludeResourceRules: scoped(excludeResourceRules) ?? [] }),
  }
}

function* policyProblems({ spec }: ValidatingAdmissionPolicy): Complaints {
  const { validations = [], auditAnnotations = [], matchConstraints, variables = [] } = spec
  if (spec.failurePolicy !== 'Fail' && spec.failurePolicy !== 'Ignore')
    yield notSupported('spec.failurePolicy', spec.failurePolicy, ['Fail', 'Ignore'])
  if (spec.paramKind && (!spec.paramKind.apiVersion || !spec.paramKind.kind))
    yield required('spec.paramKind', 'apiVersion and kind are required')
  if (!matchConstraints) yield required('spec.matchConstraints')
  else {
    if ((matchConstraints.resourceRules ?? []).length === 0)
      yield required('spec.matchConstraints.resourceRules')
    yield* matchProblems('spec.matchConstraints', matchConstraints)
  }
  if (validations.length === 0 && auditAnnotations.length === 0)
    yield required(
      'spec.validations',
      'validations or auditAnnotations must contain at least one item',
    )
  for (const [i, { expression, message = '', messageExpression }] of validations.entries()) {
    const at = `spec.validations[${i}]`
    if (!expression?.trim()) yield required(`${at}.expression`, 'expression is not specified')
    if (message.includes('\n'))
      yield wrong(`${at}.message`, message, 'message must not contain line breaks')
    if (messageExpression !== undefined && !messageExpression.trim())
      yield wrong(`${at}.messageExpression`, messageExpression, 'must be non-empty if specified')
  }
  const names = new Set<string>()
  for (const [i, { name, expression }] of variables.entries()) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name ?? ''))
      yield wrong(`spec.variables[${i}].name`, name, 'name is not a valid CEL identifier')
    if (names.has(name)) yield duplicate(`spec.variables[${i}].name`, name)
    names.add(name)
    if (!expression?.trim())
      yield required(`spec.variables[${i}].expression`, 'expression is not specified')
  }
}

function* matchProblems(at: string, match: MatchResources): Complaints {
  if (match.matchPolicy !== 'Equivalent' && match.matchPolicy !== 'Exact')
    yield notSupported(`${at}.matchPolicy`, match.matchPolicy, ['Equivalent', 'Exact'])
  yield* labelSelectorProblems(`${at}.namespaceSelector`, match.namespaceSelector)
  yield* labelSelectorProblems(`${at}.objectSelector`, match.objectSelector)
  for (const [i, rule] of (match.resourceRules ?? []).entries())
    yield* ruleProblems(`${at}.resourceRules[${i}]`, rule)
  for (const [i, rule] of (match.excludeResourceRules ?? []).entries())
    yield* ruleProblems(`${at}.excludeResourceRules[${i}]`, rule)
}

const actions = ['Audit', 'Deny', 'Warn']

function* bindingProblems({ spec }: ValidatingAdmissionPolicyBinding): Complaints {
  const { policyName, validationActions = [], paramRef, matchResources } = spec ?? {}
  if (!policyName) yield required('spec.policyName')
  if (validationActions.length === 0) yield required('spec.validationActions')
  for (const [i, action] of validationActions.entries()) {
    if (!actions.includes(action))
      yield notSupported(`spec.validationActions[${i}]`, action, actions)
    if (validationActions.indexOf(action) < i)
      yield duplicate(`spec.validationActions[${i}]`, action)
  }
  if (validationActions.includes('Deny') && validationActions.includes('Warn'))
    yield wrong(
      'spec.validationActions',
      validationActions,
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
    )
  if (paramRef) {
    if (paramRef.name && paramRef.selector)
      yield notAllowed('spec.paramRef.name', 'name and selector are mutually exclusive')
    if (!paramRef.name && !paramRef.selector)
      yield required('spec.paramRef', 'one of name or selector must be specified')
    const found = paramRef.parameterNotFoundAction
    if (!found) yield required('spec.paramRef.parameterNotFoundAction')
    else if (found !== 'Allow' && found !== 'Deny')
      yield notSupported('spec.paramRef.parameterNotFoundAction', found, ['Allow', 'Deny'])
  }
  if (matchResources) yield* matchProblems('spec.matchResources', matchResources)
}

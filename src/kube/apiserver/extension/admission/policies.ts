/**
 * ValidatingAdmissionPolicies in force (apiserver `admission/plugin/policy/validating`): each binding of each policy that
 * matches a write evaluates the policy's expressions, with each of its parameters.
 */
import type {
  MatchResources,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from '../../../api/admission-policies.ts'
import type { KindDefinition } from '../../../api/kind.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { selectorMatcher } from '../../../api/selectors.ts'
import { StatusError, qualifiedResource } from '../../../api/status-error.ts'
import type { StatusReason } from '../../../api/status-error.ts'
import { Namespace } from '../../../api/namespace.ts'
import { wholeSchema } from '../../../api/structural.ts'
import { isKind, readStored, type Machinery } from '../../machinery.ts'
import { storePrefix } from '../../registry.ts'
import { Budget, CelFailure, CelProblem } from '../cel/engine.ts'
import { celValue } from '../cel/values.ts'
import {
  admissionSteps,
  conditionVariables,
  conditionsHold,
  conditionValues,
  programFor,
} from './conditions.ts'
import {
  isSelected,
  matchedVersion,
  namespaceOf,
  selectorsOf,
  type Selectors,
  type Write,
} from './matching.ts'
import type { Remarks } from './webhooks.ts'

/** What the expressions of a policy may speak of. */
export const policyVariables = [
  ...conditionVariables,
  'params',
  'namespaceObject',
  'variables',
] as const

interface Match {
  readonly resources: MatchResources | undefined
  readonly selectors: Selectors
}

export interface Policy {
  readonly policy: ValidatingAdmissionPolicy
  readonly match: Match
  readonly bindings: readonly {
    readonly binding: ValidatingAdmissionPolicyBinding
    readonly match: Match
  }[]
}

/** Policies with their bindings; those without any are not in force. */
export function policiesOf(
  policies: readonly ValidatingAdmissionPolicy[],
  bindings: readonly ValidatingAdmissionPolicyBinding[],
): readonly Policy[] {
  const byPolicy = Map.groupBy(bindings, ({ spec }) => spec.policyName ?? '')
  return policies.flatMap((policy) => {
    const own = byPolicy.get(policy.metadata.name)
    if (!own || policy.metadata.deletionTimestamp) return []
    return {
      policy,
      match: matchOf(policy.spec.matchConstraints),
      bindings: own.map((binding) => ({ binding, match: matchOf(binding.spec.matchResources) })),
    }
  })
}

const matchOf = (resources: MatchResources | undefined): Match => ({
  resources,
  selectors: selectorsOf(resources ?? {}),
})

/** Throws the refusals of policies. May throw `Awaiting`. */
export function checkPolicies(policies: readonly Policy[], write: Write, remarks: Remarks): void {
  const refusals: Refusal[] = []
  for (const each of policies) {
    const version = versionFor(each.match, write)
    if (version === undefined) continue
    for (const { binding, match } of each.bindings) {
      if (match.resources && !isMeant(match, write)) continue
      const check = new PolicyCheck(each.policy, binding, write, version, remarks)
      refusals.push(...check.run())
    }
  }
  const [first] = refusals
  if (first) throw refused(write, first, refusals)
}

function versionFor({ resources, selectors }: Match, write: Write): string | undefined {
  if (!resources || !isSelected(selectors, write)) return undefined
  if (isExcluded(resources, write)) return undefined
  return matchedVersion(resources.resourceRules ?? [], write, resources.matchPolicy)
}

/** A binding without rules narrows by its selectors alone. */
function isMeant({ resources, selectors }: Match, write: Write): boolean {
  if (!isSelected(selectors, write) || isExcluded(resources, write)) return false
  const { resourceRules = [], matchPolicy } = resources ?? {}
  return (
    resourceRules.length === 0 || matchedVersion(resourceRules, write, matchPolicy) !== undefined
  )
}

const isExcluded = (resources: MatchResources | undefined, write: Write): boolean =>
  (resources?.excludeResourceRules ?? []).length > 0 &&
  matchedVersion(resources?.excludeResourceRules ?? [], write, resources?.matchPolicy) !== undefined

interface Refusal {
  readonly message: string
  readonly reason: string
}

const codes: Readonly<Record<string, StatusReason>> = {
  Unauthorized: 'Unauthorized',
  Forbidden: 'Forbidden',
  Invalid: 'Invalid',
  RequestEntityTooLarge: 'RequestEntityTooLarge',
}

function refused(
  { target, object, old }: Write,
  first: Refusal,
  all: readonly Refusal[],
): StatusError {
  const { kind } = target
  const name = (object ?? old)?.metadata.name ?? target.name
  return new StatusError(
    codes[first.reason] ?? 'Invalid',
    `${qualifiedResource(kind)} ${JSON.stringify(name)} is forbidden: ${first.message}`,
    {
      name,
      ...(kind.group && { group: kind.group }),
      kind: kind.plural,
      causes: all.map(({ message }) => ({ message })),
    },
  )
}

/** The parameter of a policy that has none. */
const noParameter = Symbol('no parameter')

class PolicyCheck {
  readonly #policy: ValidatingAdmissionPolicy
  readonly #binding: ValidatingAdmissionPolicyBinding
  readonly #write: Write
  readonly #version: string
  readonly #remarks: Remarks
  readonly #budget = new Budget(admissionSteps)

  constructor(
    policy: ValidatingAdmissionPolicy,
    binding: ValidatingAdmissionPolicyBinding,
    write: Write,
    version: string,
    remarks: Remarks,
  ) {
    this.#policy = policy
    this.#binding = binding
    this.#write = write
    this.#version = version
    this.#remarks = remarks
  }

  run(): readonly Refusal[] {
    const { spec } = this.#policy
    try {
      const parameters = this.#parameters()
      return parameters.flatMap((parameter) => this.#withParameter(parameter))
    } catch (thrown) {
      if (!(thrown instanceof CelFailure)) throw thrown
      return spec.failurePolicy === 'Ignore' ? [] : this.#act(thrown.message, 'Invalid')
    }
  }

  #withParameter(parameter: unknown): readonly Refusal[] {
    const { spec } = this.#policy
    const values = this.#values(parameter)
    if (!conditionsHold(spec.matchConditions, values, policyVariables)) return []
    const refusals: Refusal[] = []
    for (const { expression, message, messageExpression, reason } of spec.validations ?? []) {
      try {
        if (this.#evaluate(expression, values) === true) continue
        const text = this.#message(messageExpression, values) ?? message?.trim()
        refusals.push(
          ...this.#act(text || `failed expression: ${expression.trim()}`, reason ?? 'Invalid'),
        )
      } catch (thrown) {
        if (!(thrown instanceof CelFailure)) throw thrown
        if (spec.failurePolicy === 'Ignore') continue
        refusals.push(
          ...this.#act(
            `expression '${expression.trim()}' resulted in error: ${thrown.message}`,
            'Invalid',
          ),
        )
      }
    }
    this.#annotate(values)
    return refusals
  }

  /** What the binding wants done about a violation; a refusal when it is to deny. */
  #act(message: string, reason: string): readonly Refusal[] {
    const policy = this.#policy.metadata.name
    const binding = this.#binding.metadata.name
    const { validationActions = [] } = this.#binding.spec
    if (validationActions.includes('Warn'))
      this.#remarks.warnings.push(
        `Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${binding}': ${message}`,
      )
    if (validationActions.includes('Audit'))
      this.#remarks.auditAnnotations.set(
        'validation.policy.admission.k8s.io/validation_failure',
        JSON.stringify([{ message, policy, binding, validationActions }]),
      )
    if (!validationActions.includes('Deny')) return []
    return [
      {
        reason,
        message: `ValidatingAdmissionPolicy '${policy}' with binding '${binding}' denied request: ${message}`,
      },
    ]
  }

  #annotate(values: Readonly<Record<string, unknown>>): void {
    for (const { key, valueExpression } of this.#policy.spec.auditAnnotations ?? []) {
      const value = this.#evaluate(valueExpression, values)
      if (typeof value === 'string' && value.trim() !== '')
        this.#remarks.auditAnnotations.set(`${this.#policy.metadata.name}/${key}`, value.trim())
    }
  }

  #message(
    source: string | undefined,
    values: Readonly<Record<string, unknown>>,
  ): string | undefined {
    if (!source?.trim()) return undefined
    try {
      const text = this.#evaluate(source, values)
      return typeof text === 'string' && !text.includes('\n') ? text.trim() : undefined
    } catch (thrown) {
      if (thrown instanceof CelFailure) return undefined
      throw thrown
    }
  }

  #evaluate(source: string, values: Readonly<Record<string, unknown>>): unknown {
    try {
      return programFor(source, policyVariables).evaluate(values, this.#budget)
    } catch (thrown) {
      if (thrown instanceof CelProblem) throw new CelFailure(thrown.message)
      throw thrown
    }
  }

  #values(parameter: unknown): Readonly<Record<string, unknown>> {
    const write = this.#write
    const common = conditionValues(write, this.#version)
    const values: Record<string, unknown> = {
      object: common['object'],
      oldObject: common['oldObject'],
      request: common['request'],
      authorizer: common['authorizer'],
      params: parameter === noParameter ? null : celValue(undefined, parameter),
      namespaceObject: this.#namespaceObject(),
      variables: {},
    }
    values['variables'] = this.#variables(values)
    return values
  }

  /** Each is computed when it is first read, and may read those before it. */
  #variables(values: Readonly<Record<string, unknown>>): object {
    const variables = {}
    for (const { name, expression } of this.#policy.spec.variables ?? []) {
      let known: { readonly value: unknown } | undefined
      Object.defineProperty(variables, name, {
        enumerable: true,
        get: () =>
          (known ??= { value: this.#evaluate(expression, { ...values, variables }) }).value,
      })
    }
    return variables
  }

  #namespaceObject(): unknown {
    const { target } = this.#write
    if (isKind(target.kind, '', 'Namespace')) return null
    const namespace = namespaceOf(this.#write)
    return namespace ? celValue(wholeSchema(Namespace), namespace) : null
  }

  /** What the policy is evaluated with, once for each. Throws CelFailure when there must be some and are none. */
  #parameters(): readonly unknown[] {
    const { paramKind } = this.#policy.spec
    const { paramRef } = this.#binding.spec
    if (!paramKind || !paramRef) return [noParameter]
    const { machinery } = this.#write.target
    const kind = kindOf(machinery, paramKind.apiVersion ?? '', paramKind.kind ?? '')
    if (!kind)
      throw new CelFailure(
        `failed to configure policy: failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`,
      )
    const found = this.#find(machinery, kind, paramRef)
    if (found.length > 0) return found
    if (paramRef.parameterNotFoundAction === 'Allow') return []
    throw new CelFailure(
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
    )
  }

  #find(
    machinery: Machinery,
    kind: KindDefinition,
    {
      name,
      namespace,
      selector,
    }: NonNullable<ValidatingAdmissionPolicyBinding['spec']['paramRef']>,
  ): readonly KubeObject[] {
    const { object, old, target } = this.#write
    const place = kind.namespaced
      ? (namespace ?? (object ?? old)?.metadata.namespace ?? target.namespace)
      : ''
    if (kind.namespaced && !place)
      throw new CelFailure(
        'failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
      )
    if (name) {
      const one = readStored(machinery, kind, { namespace: place, name })
      return one ? [one] : []
    }
    const matches = selectorMatcher(selector ?? {})
    return machinery.store
      .list(storePrefix(kind, place))
      .items.filter(({ metadata }) => matches(metadata.labels))
  }
}

function kindOf(
  machinery: Machinery,
  apiVersion: string,
  kind: string,
): KindDefinition | undefined {
  const slash = apiVersion.indexOf('/')
  return machinery.registry.byKind(slash < 0 ? '' : apiVersion.slice(0, slash), kind)
}

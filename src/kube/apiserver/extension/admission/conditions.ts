/** What expressions of webhooks and policies may speak of, and `matchConditions` over it. */
import type { UserInfo } from '../../../api/kind.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { wholeSchema } from '../../../api/structural.ts'
import type { FieldCause } from '../../../api/status-error.ts'
import { duplicate, required, wrong, type Complaints } from '../../../api/validation.ts'
import type { Authorizer } from '../../access/authorization.ts'
import { celAuthorizer } from '../cel/authorizer.ts'
import { Budget, CelFailure, CelProblem, celEngine, type CelProgram } from '../cel/engine.ts'
import { celValue } from '../cel/values.ts'
import { inVersion, reviewRequest } from './review.ts'
import type { Write } from './matching.ts'

export interface Condition {
  readonly name: string
  readonly expression: string
}

export const conditionVariables = ['object', 'oldObject', 'request', 'authorizer'] as const

/** Steps for everything that one webhook or policy asks about one write. */
export const admissionSteps = 1_000_000

/** The values of `conditionVariables` for a write. */
export function conditionValues(write: Write, version: string): Readonly<Record<string, unknown>> {
  const { target } = write
  const schema = wholeSchema(target.kind, version)
  const value = (object: KubeObject | undefined) =>
    celValue(schema, inVersion(write, object, version))
  let request: unknown
  let object: unknown
  let oldObject: unknown
  return {
    get object() {
      return (object ??= value(write.object))
    },
    get oldObject() {
      return (oldObject ??= value(write.old))
    },
    get request() {
      if (request === undefined) {
        const { object: _o, oldObject: _old, ...rest } = reviewRequest(write, version)
        request = celValue(undefined, rest)
      }
      return request
    },
    get authorizer() {
      return authorizerFor(target.request.user, target.machinery.access.authorizer)
    },
  }
}

const authorizerFor = (user: UserInfo, authorizer: Authorizer) => celAuthorizer(user, authorizer)

const programs = new Map<string, CelProgram>()

/** Compiled once; policies and webhooks are few, and their texts are kept by what they say. */
export function programFor(source: string, variables: readonly string[]): CelProgram {
  const key = `${variables.join(' ')}\n${source}`
  const known = programs.get(key)
  if (known) return known
  if (programs.size > 2000) programs.clear()
  const program = celEngine().compile(source, variables)
  programs.set(key, program)
  return program
}

/**
 * Whether all conditions hold. One that is false decides; otherwise one that fails throws CelFailure.
 */
export function conditionsHold(
  conditions: readonly Condition[] | undefined,
  values: Readonly<Record<string, unknown>>,
  variables: readonly string[] = conditionVariables,
): boolean {
  if (!conditions?.length) return true
  const budget = new Budget(admissionSteps)
  let failure: CelFailure | undefined
  for (const { expression } of conditions) {
    try {
      if (programFor(expression, variables).evaluate(valuesFor(values, variables), budget) !== true)
        return false
    } catch (thrown) {
      if (thrown instanceof CelFailure) failure ??= thrown
      else if (thrown instanceof CelProblem) failure ??= new CelFailure(thrown.message)
      else throw thrown
    }
  }
  if (failure) throw failure
  return true
}

/** Values are computed when an expression is evaluated at all; the engine copies them. */
const valuesFor = (values: Readonly<Record<string, unknown>>, variables: readonly string[]) =>
  Object.fromEntries(variables.map((name) => [name, values[name]]))

/** What is wrong with expressions. May throw `Awaiting`. */
export function* expressionProblems(
  field: string,
  source: string | undefined,
  variables: readonly string[],
  type: 'bool' | 'string' | 'any',
): Complaints {
  if (!source?.trim()) return
  const complaint = compileComplaint(field, source, variables, type)
  if (complaint) yield complaint
}

function compileComplaint(
  field: string,
  source: string,
  variables: readonly string[],
  type: 'bool' | 'string' | 'any',
): FieldCause | undefined {
  try {
    const program = programFor(source, variables)
    const fits =
      type === 'any' ||
      program.type === 'dyn' ||
      program.type === type ||
      (type === 'string' && program.type === 'null')
    return fits ? undefined : wrong(field, source, `must evaluate to ${type}`)
  } catch (thrown) {
    if (!(thrown instanceof CelProblem)) throw thrown
    return wrong(field, source, `compilation failed: ERROR: <input>:1:1: ${thrown.message}`)
  }
}

/** Of `matchConditions`. May throw `Awaiting`. */
export function* conditionProblems(
  field: string,
  conditions: readonly Condition[] | undefined,
  variables: readonly string[] = conditionVariables,
): Complaints {
  const names = new Set<string>()
  for (const [i, { name, expression }] of (conditions ?? []).entries()) {
    const at = `${field}[${i}]`
    if (!name) yield required(`${at}.name`)
    if (names.has(name)) yield duplicate(`${at}.name`, name)
    names.add(name)
    if (!expression?.trim()) yield required(`${at}.expression`)
    yield* expressionProblems(`${at}.expression`, expression, variables, 'bool')
  }
  if ((conditions?.length ?? 0) > 64)
    yield wrong(field, conditions?.length, 'must have at most 64 items')
}

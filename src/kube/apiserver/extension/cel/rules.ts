/**
 * `x-kubernetes-validations` of custom kinds (kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
 * custom-resource-definitions/#validation-rules): every rule of every place, in Kubernetes' words. Rules that speak of
 * `oldSelf` hold for updates; what has not changed is not complained of again.
 */
import { fieldPath, isObject, MAX_DEPTH } from '../../../api/schema-node.ts'
import type { KubeObject } from '../../../api/meta.ts'
import type { FieldCause } from '../../../api/status-error.ts'
import { notSupported, required, wrong, type Complaints } from '../../../api/validation.ts'
import { equal } from '../../values.ts'
import { partsOf, type CustomSchema, type ValidationRule } from '../custom-schema.ts'
import { oldItems } from '../value-problems.ts'
import {
  Budget,
  BudgetExceeded,
  CelFailure,
  CelProblem,
  celEngine,
  type CelProgram,
} from './engine.ts'
import { unknownField } from './known-fields.ts'
import { celValue, type Converted } from './values.ts'

/** Steps that all rules of one object may take together, and one evaluation of a rule. */
const objectSteps = 2_000_000
const ruleSteps = 500_000
const maxCauses = 50

const found = new WeakMap<CustomSchema, boolean>()

/** Whether the schema or a part of it has rules. */
export function hasRules(schema: CustomSchema): boolean {
  const known = found.get(schema)
  if (known !== undefined) return known
  let answer = rulesOf(schema).length > 0
  for (const [, part] of partsOf(schema)) answer = hasRules(part) || answer
  found.set(schema, answer)
  return answer
}

/** The rules of a place; those in its `allOf` hold as well. */
const rulesOf = (schema: CustomSchema): readonly ValidationRule[] => [
  ...(schema['x-kubernetes-validations'] ?? []),
  ...(schema.allOf ?? []).flatMap((each) => each['x-kubernetes-validations'] ?? []),
]

/** What the rules of `schema` say of an object that is valid otherwise. May throw `Awaiting`. */
export function ruleProblems(
  schema: CustomSchema,
  object: KubeObject,
  old: KubeObject | undefined,
): readonly FieldCause[] {
  const walk = new RuleWalk()
  try {
    walk.node(schema, rooted(object), old && rooted(old), '', 0)
  } catch (thrown) {
    if (!(thrown instanceof BudgetExceeded)) throw thrown
    walk.causes.push({
      reason: 'FieldValueInvalid',
      field: '<nil>',
      detail:
        'Invalid value: "object": validation failed due to running out of cost budget, no further validation rules will be run',
    })
  }
  return walk.causes
}

/** Of the metadata, rules at the root see the names alone. */
function rooted(object: KubeObject): KubeObject {
  const { name, generateName } = object.metadata
  return { ...object, metadata: { name, ...(generateName !== undefined && { generateName }) } }
}

class RuleWalk {
  readonly causes: FieldCause[] = []
  readonly #budget = new Budget(objectSteps)
  readonly #converted: Converted = new Map()

  node(schema: CustomSchema, value: unknown, old: unknown, path: string, depth: number): void {
    if (depth > MAX_DEPTH || value === null || value === undefined || !hasRules(schema)) return
    const isSame = old !== undefined && equal(old, value)
    for (const rule of rulesOf(schema)) this.#rule(schema, rule, value, old, isSame, path)
    if (Array.isArray(value)) {
      const { items } = schema
      if (!items) return
      const before = oldItems(schema, old)
      for (const [i, item] of value.entries())
        this.node(items, item, before(item), `${path}[${i}]`, depth + 1)
    } else if (isObject(value)) {
      const before = isObject(old) ? old : {}
      const { properties, additionalProperties } = schema
      for (const name of Object.keys(value)) {
        const next =
          properties && Object.hasOwn(properties, name) ? properties[name] : additionalProperties
        if (typeof next === 'object')
          this.node(next, value[name], before[name], fieldPath(path, name), depth + 1)
      }
    }
  }

  #rule(
    schema: CustomSchema,
    rule: ValidationRule,
    value: unknown,
    old: unknown,
    isSame: boolean,
    path: string,
  ): void {
    if (this.causes.length >= maxCauses) return
    const known = compiledRule(rule)
    if (!known) return
    const { program, transition } = known
    if (transition ? old === undefined && !rule.optionalOldSelf : isSame) return
    const engine = celEngine()
    const self = celValue(schema, value, this.#converted)
    const before =
      old === undefined || old === null ? undefined : celValue(schema, old, this.#converted)
    const values = {
      self,
      oldSelf: rule.optionalOldSelf
        ? before === undefined
          ? engine.absent
          : engine.present(before)
        : (before ?? null),
    }
    try {
      if (this.#evaluate(program, values) === true) return
      this.#add(schema, rule, path, this.#message(known, rule, values))
    } catch (thrown) {
      if (!(thrown instanceof CelFailure) || thrown instanceof BudgetExceeded) throw thrown
      this.#add(
        schema,
        { ...rule, reason: 'FieldValueInvalid' },
        path,
        `${thrown.message} evaluating rule: ${rule.message?.trim() || rule.rule.trim()}`,
      )
    }
  }

  #evaluate(program: CelProgram, values: Readonly<Record<string, unknown>>): unknown {
    const budget = new Budget(ruleSteps)
    try {
      return program.evaluate(values, budget)
    } finally {
      this.#budget.charge(ruleSteps - Math.max(0, budget.left))
    }
  }

  #message(
    { messageProgram }: CompiledRule,
    rule: ValidationRule,
    values: Readonly<Record<string, unknown>>,
  ): string {
    const fallback = rule.message?.trim() || `failed rule: ${rule.rule.trim()}`
    if (!messageProgram) return fallback
    try {
      const text = this.#evaluate(messageProgram, values)
      const fits = typeof text === 'string' && text.trim() !== '' && !text.includes('\n')
      return fits && text.length <= 5 * 1024 ? text.trim() : fallback
    } catch (thrown) {
      if (thrown instanceof CelFailure && !(thrown instanceof BudgetExceeded)) return fallback
      throw thrown
    }
  }

  #add(schema: CustomSchema, rule: ValidationRule, path: string, detail: string): void {
    const field = (rule.fieldPath ? `${path}${rule.fieldPath}` : path).replace(/^\./, '') || '<nil>'
    this.causes.push(causeOf(rule.reason, field, typeName(schema), detail))
  }
}

function causeOf(
  reason: string | undefined,
  field: string,
  type: string,
  detail: string,
): FieldCause {
  switch (reason) {
    case 'FieldValueForbidden':
      return { reason, field, detail: `Forbidden: ${detail}` }
    case 'FieldValueRequired':
      return { reason, field, detail: `Required value: ${detail}` }
    case 'FieldValueDuplicate':
      return { reason, field, detail: `Duplicate value: "${type}"` }
    default:
      return { reason: 'FieldValueInvalid', field, detail: `Invalid value: "${type}": ${detail}` }
  }
}

const typeName = (schema: CustomSchema): string =>
  schema.type ?? (schema['x-kubernetes-int-or-string'] ? 'integer,string' : 'object')

interface CompiledRule {
  readonly program: CelProgram
  /** Speaks of `oldSelf`. */
  readonly transition: boolean
  readonly messageProgram: CelProgram | undefined
}

const compiled = new WeakMap<ValidationRule, CompiledRule | 'unknown'>()
const variables = ['self', 'oldSelf']

/** Undefined for a rule with something that is not known here: its author was warned. */
function compiledRule(rule: ValidationRule): CompiledRule | undefined {
  const known = compiled.get(rule)
  if (known) return known === 'unknown' ? undefined : known
  let answer: CompiledRule | 'unknown'
  try {
    answer = compileRule(rule)
  } catch (thrown) {
    if (!(thrown instanceof CelProblem)) throw thrown
    answer = 'unknown'
  }
  compiled.set(rule, answer)
  return answer === 'unknown' ? undefined : answer
}

function compileRule(rule: ValidationRule): CompiledRule {
  const engine = celEngine()
  const program = engine.compile(rule.rule, variables)
  return {
    program,
    transition: program.uses('oldSelf'),
    messageProgram:
      rule.messageExpression === undefined
        ? undefined
        : engine.compile(rule.messageExpression, variables),
  }
}

const reasons = [
  'FieldValueDuplicate',
  'FieldValueForbidden',
  'FieldValueInvalid',
  'FieldValueRequired',
]

/** What is wrong with the rules of a schema that is structural. May throw `Awaiting`. */
export function compileProblems(
  schema: CustomSchema,
  field: string,
  warn: (text: string) => void,
): readonly FieldCause[] {
  if (!hasRules(schema)) return []
  return [...problemsBelow(schema, field, true, warn)].slice(0, maxCauses)
}

function* problemsBelow(
  schema: CustomSchema,
  field: string,
  isRoot: boolean,
  warn: (text: string) => void,
): Complaints {
  for (const [i, rule] of rulesOf(schema).entries())
    yield* problemsOf(
      isRoot ? withNames(schema) : schema,
      rule,
      `${field}.x-kubernetes-validations[${i}]`,
      warn,
    )
  for (const [name, part] of Object.entries(schema.properties ?? {}))
    if (hasRules(part)) yield* problemsBelow(part, `${field}.properties[${name}]`, false, warn)
  const { additionalProperties, items } = schema
  if (typeof additionalProperties === 'object' && hasRules(additionalProperties))
    yield* problemsBelow(additionalProperties, `${field}.additionalProperties`, false, warn)
  if (items && hasRules(items)) yield* problemsBelow(items, `${field}.items`, false, warn)
}

/** The root with what every object has, as far as rules see it. */
const withNames = (schema: CustomSchema): CustomSchema => ({
  ...schema,
  properties: {
    ...schema.properties,
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: {
      type: 'object',
      properties: { name: { type: 'string' }, generateName: { type: 'string' } },
    },
  },
})

function* problemsOf(
  schema: CustomSchema,
  rule: ValidationRule,
  field: string,
  warn: (text: string) => void,
): Complaints {
  if (!isObject(rule) || typeof rule.rule !== 'string' || rule.rule.trim() === '')
    return yield required(`${field}.rule`, 'rule is not specified')
  const { message, messageExpression, reason, fieldPath: path } = rule
  if (message !== undefined && (message.trim() === '' || /\n/.test(message)))
    yield wrong(
      `${field}.message`,
      message,
      /\n/.test(message)
        ? 'message must not contain line breaks'
        : 'message must be non-empty if specified',
    )
  if (reason !== undefined && !reasons.includes(reason))
    yield notSupported(`${field}.reason`, reason, reasons)
  if (path !== undefined && !isPathIn(schema, path))
    yield wrong(`${field}.fieldPath`, path, 'fieldPath must be a valid path')
  yield* expressionProblems(schema, rule.rule, `${field}.rule`, goRule(rule), 'bool', warn)
  if (messageExpression !== undefined)
    yield* expressionProblems(
      schema,
      messageExpression,
      `${field}.messageExpression`,
      goRule(rule),
      'string',
      warn,
    )
}

function* expressionProblems(
  schema: CustomSchema,
  source: string,
  field: string,
  shown: string,
  type: 'bool' | 'string',
  warn: (text: string) => void,
): Complaints {
  const refuse = (why: string): FieldCause => ({
    reason: 'FieldValueInvalid',
    field,
    detail: `Invalid value: ${shown}: ${why}`,
  })
  try {
    const program = celEngine().compile(source, variables)
    const unknown = unknownField(schema, program)
    if (unknown !== undefined)
      yield refuse(`compilation failed: ERROR: <input>:1:1: undefined field '${unknown}'`)
    else if (program.type !== type && program.type !== 'dyn')
      yield refuse(
        `${type === 'bool' ? 'cel' : 'messageExpression'} expression must evaluate to a ${type}`,
      )
  } catch (thrown) {
    if (!(thrown instanceof CelProblem)) throw thrown
    if (thrown.refuses) yield refuse(`compilation failed: ERROR: <input>:1:1: ${thrown.message}`)
    else warn(`${field} is not evaluated: ${thrown.message}`)
  }
}

const goRule = ({ rule, message = '' }: ValidationRule): string =>
  `apiextensions.ValidationRule{Rule:${JSON.stringify(rule)}, Message:${JSON.stringify(message)}}`

function isPathIn(schema: CustomSchema, path: string): boolean {
  let at: CustomSchema | undefined = schema
  let rest = path
  while (rest !== '') {
    const match: RegExpExecArray | null = /^(?:\.([\w-]+)|\['([^'\]]+)'\])/.exec(rest)
    if (!match) return false
    const name = match[1] ?? match[2] ?? ''
    at =
      at?.properties && Object.hasOwn(at.properties, name)
        ? at.properties[name]
        : typeof at?.additionalProperties === 'object'
          ? at.additionalProperties
          : undefined
    if (!at) return false
    rest = rest.slice(match[0].length)
  }
  return path !== ''
}

/**
 * CloudEvents SQL 1.0: an expression over the attributes of an event, compiled once and evaluated for each event. It
 * yields a value and the first error, after which the operations around it yield the zero of their type.
 */
import { failed, fits, ok, toBoolean, toInteger, toText, toTypeOf } from './outcome.ts'
import type { Outcome } from './outcome.ts'
import { functionOf, type Signature } from './functions.ts'
import { likePattern } from './like.ts'
import { CesqlSyntaxError, parse } from './syntax.ts'
import type { BinaryOperator, Expression, Value } from './syntax.ts'

export type Attributes = Readonly<Record<string, Value>>

/** Of one event. */
export type Evaluate = (attributes: Attributes) => Outcome

/** Functions besides those of the specification, by name in upper case (CESQL 1.0, section 3.5). */
export type Functions = Readonly<Record<string, Signature>>

/** Throws CesqlSyntaxError when the text is no expression. */
export function compileCesql(text: string, functions: Functions = {}): Evaluate {
  return compile(parse(text), functions, 0)
}

/** Each level is a call within a call: operators in a row are levels too, and the stack has an end. */
const maxLevels = 500

function compile(expression: Expression, functions: Functions, level: number): Evaluate {
  if (level > maxLevels)
    throw new CesqlSyntaxError(`operators lie deeper than ${maxLevels} levels in one another`)
  const inner = (each: Expression) => compile(each, functions, level + 1)
  switch (expression.kind) {
    case 'literal': {
      const value = ok(expression.value)
      return () => value
    }
    case 'attribute':
      return attribute(expression.name)
    case 'exists': {
      const { name } = expression
      const always = ['id', 'source', 'type', 'specversion'].includes(name)
      return (attributes) => ok(always || isSet(attributes, name))
    }
    case 'not':
      return unary(inner(expression.operand), false, (value) =>
        then(toBoolean(value), false, (is) => ok(!is)),
      )
    case 'negate':
      return unary(inner(expression.operand), 0, (value) =>
        then(toInteger(value), 0, (number) => integerOf(-number)),
      )
    case 'like': {
      const matches = likePattern(expression.pattern)
      return unary(inner(expression.operand), false, (value) => {
        const text = toText(value)
        const found = matches(text)
        return found === undefined
          ? failed(
              false,
              'functionEvaluation',
              `LIKE: it takes too long to hold the pattern against ${text.length} characters`,
            )
          : ok(found !== expression.negated)
      })
    }
    case 'in':
      return membership(inner(expression.operand), expression.set.map(inner), expression.negated)
    case 'call':
      return call(expression.name, expression.args.map(inner), functions)
    case 'binary':
      return binary(expression.operator, inner(expression.left), inner(expression.right))
  }
}

const isSet = (attributes: Attributes, name: string): boolean =>
  Object.hasOwn(attributes, name) && attributes[name] !== ''

function attribute(name: string): Evaluate {
  const missing = failed(false, 'missingAttribute', `attribute ${name} is not set`)
  return (attributes) => {
    const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined
    return value === undefined ? missing : ok(value)
  }
}

/** Goes on with the value, unless there is none. */
function then<T extends Value>(
  outcome: Outcome<T>,
  zero: Value,
  next: (value: T) => Outcome,
): Outcome {
  return outcome.problem ? { value: zero, problem: outcome.problem } : next(outcome.value)
}

function unary(operand: Evaluate, zero: Value, of: (value: Value) => Outcome): Evaluate {
  return (attributes) => then(operand(attributes), zero, of)
}

function membership(operand: Evaluate, members: readonly Evaluate[], negated: boolean): Evaluate {
  return (attributes) =>
    then(operand(attributes), false, (value) => {
      for (const member of members) {
        const found = then(member(attributes), false, (each) => toTypeOf(value, each))
        if (found.problem) return { value: false, problem: found.problem }
        if (found.value === value) return ok(!negated)
      }
      return ok(negated)
    })
}

function call(name: string, args: readonly Evaluate[], functions: Functions): Evaluate {
  const added = Object.hasOwn(functions, name) ? functions[name] : undefined
  const signature = added?.parameters.length === args.length ? added : functionOf(name, args.length)
  if (!signature) {
    const outcome = failed(
      false,
      'missingFunction',
      `there is no function ${name} with ${args.length} arguments`,
    )
    return () => outcome
  }
  const { parameters, rest, zero } = signature
  return (attributes) => {
    const values: Value[] = []
    for (const [i, each] of args.entries()) {
      const wanted = parameters[i] ?? rest
      const argument = then(each(attributes), zero, (value) => {
        if (wanted === 'integer') return toInteger(value)
        return ok(wanted === 'string' ? toText(value) : value)
      })
      if (argument.problem) return { value: zero, problem: argument.problem }
      values.push(argument.value)
    }
    return signature.call(...values)
  }
}

function binary(operator: BinaryOperator, left: Evaluate, right: Evaluate): Evaluate {
  switch (operator) {
    case 'AND':
    case 'OR':
      return logical(operator === 'OR', left, right)
    case 'XOR':
      return both(left, right, false, (a, b) =>
        then(toBoolean(a), false, (x) => then(toBoolean(b), false, (y) => ok(x !== y))),
      )
    case '=':
    case '!=':
      return both(left, right, false, (a, b) =>
        then(toTypeOf(b, a), false, (cast) => ok((cast === b) === (operator === '='))),
      )
    default: {
      const { zero, of } = onIntegers[operator]
      return both(left, right, zero, (a, b) =>
        then(toInteger(a), zero, (x) => then(toInteger(b), zero, (y) => of(x, y))),
      )
    }
  }
}

/** The right side is not looked at when the left decides. */
function logical(deciding: boolean, left: Evaluate, right: Evaluate): Evaluate {
  return (attributes) =>
    then(left(attributes), false, (a) =>
      then(toBoolean(a), false, (first) =>
        first === deciding ? ok(first) : then(right(attributes), false, (b) => toBoolean(b)),
      ),
    )
}

function both(
  left: Evaluate,
  right: Evaluate,
  zero: Value,
  of: (a: Value, b: Value) => Outcome,
): Evaluate {
  return (attributes) =>
    then(left(attributes), zero, (a) => then(right(attributes), zero, (b) => of(a, b)))
}

function integerOf(number: number): Outcome {
  const value = number === 0 ? 0 : number // there is no -0
  return fits(value) ? ok(value) : failed(0, 'math', `${number} is not an Integer of 32 bits`)
}

const divided = (of: (x: number, y: number) => number) => (x: number, y: number) =>
  y === 0 ? failed(0, 'math', `${x} is divided by 0`) : integerOf(of(x, y))

const onIntegers = {
  '*': { zero: 0, of: (x: number, y: number) => integerOf(x * y) },
  '+': { zero: 0, of: (x: number, y: number) => integerOf(x + y) },
  '-': { zero: 0, of: (x: number, y: number) => integerOf(x - y) },
  '/': { zero: 0, of: divided((x, y) => Math.trunc(x / y)) },
  '%': { zero: 0, of: divided((x, y) => x % y) },
  '<': { zero: false, of: (x: number, y: number) => ok(x < y) },
  '<=': { zero: false, of: (x: number, y: number) => ok(x <= y) },
  '>': { zero: false, of: (x: number, y: number) => ok(x > y) },
  '>=': { zero: false, of: (x: number, y: number) => ok(x >= y) },
} satisfies Record<string, { zero: Value; of: (x: number, y: number) => Outcome }>

/** The functions of CESQL 1.0, section 3.5. Characters are code points. */
import { failed, fits, ok, toBoolean, toInteger, toText } from './outcome.ts'
import type { Outcome } from './outcome.ts'
import type { Value } from './syntax.ts'

type Parameter = 'string' | 'integer' | 'any'

export interface Signature {
  readonly parameters: readonly Parameter[]
  /** Any number more of this type. */
  readonly rest?: Parameter
  readonly zero: Value
  readonly call: (...args: readonly Value[]) => Outcome
}

const text = (value: Value | undefined): string => toText(value ?? '')
const whole = (value: Value | undefined): number => (typeof value === 'number' ? value : 0)

const onText = (of: (text: string) => string): Signature => ({
  parameters: ['string'],
  zero: '',
  call: (value) => ok(of(text(value))),
})

const end = (name: string, part: (points: readonly string[], count: number) => readonly string[]) =>
  ({
    parameters: ['string', 'integer'],
    zero: '',
    call(value, count) {
      const points = Array.from(text(value))
      if (whole(count) < 0)
        return failed(text(value), 'functionEvaluation', `${name}: ${count} is less than 0`)
      return ok(whole(count) >= points.length ? text(value) : part(points, whole(count)).join(''))
    },
  }) satisfies Signature

function substring(value: Value | undefined, from: Value | undefined, count?: Value): Outcome {
  const points = Array.from(text(value))
  const position = whole(from)
  if (position === 0) return ok('')
  if (Math.abs(position) > points.length)
    return failed(
      '',
      'functionEvaluation',
      `SUBSTRING: position ${position} is outside of ${points.length} characters`,
    )
  const start = position > 0 ? position - 1 : points.length + position
  if (count === undefined) return ok(points.slice(start).join(''))
  if (whole(count) < 0)
    return failed('', 'functionEvaluation', `SUBSTRING: length ${count} is less than 0`)
  return ok(points.slice(start, start + whole(count)).join(''))
}

/** Characters of a text that is put together: an expression may name a long attribute thousands of times. */
const maxJoined = 1 << 20

function joined(
  name: string,
  values: readonly (Value | undefined)[],
  separator: Value | undefined = '',
): Outcome {
  const texts = values.map(text)
  const between = text(separator)
  const length = texts.reduce((sum, each) => sum + each.length + between.length, 0)
  if (length > maxJoined)
    return failed(
      '',
      'functionEvaluation',
      `${name}: ${length} characters are too many: at most ${maxJoined}`,
    )
  return ok(texts.join(between))
}

const functions: Readonly<Record<string, readonly Signature[]>> = {
  LENGTH: [
    { parameters: ['string'], zero: 0, call: (value) => ok(Array.from(text(value)).length) },
  ],
  CONCAT: [{ parameters: [], rest: 'string', zero: '', call: (...all) => joined('CONCAT', all) }],
  CONCAT_WS: [
    {
      parameters: ['string'],
      rest: 'string',
      zero: '',
      call: (separator, ...all) => joined('CONCAT_WS', all, separator),
    },
  ],
  LOWER: [onText((value) => value.toLowerCase())],
  UPPER: [onText((value) => value.toUpperCase())],
  TRIM: [onText((value) => value.trim())],
  LEFT: [end('LEFT', (points, count) => points.slice(0, count))],
  RIGHT: [end('RIGHT', (points, count) => points.slice(points.length - count))],
  SUBSTRING: [
    { parameters: ['string', 'integer'], zero: '', call: (value, from) => substring(value, from) },
    { parameters: ['string', 'integer', 'integer'], zero: '', call: substring },
  ],
  ABS: [
    {
      parameters: ['integer'],
      zero: 0,
      call(value) {
        const positive = Math.abs(whole(value))
        return fits(positive)
          ? ok(positive)
          : failed(2_147_483_647, 'math', `ABS(${value}) is not an Integer of 32 bits`)
      },
    },
  ],
  INT: [{ parameters: ['any'], zero: 0, call: (value) => toInteger(value ?? '') }],
  BOOL: [{ parameters: ['any'], zero: false, call: (value) => toBoolean(value ?? '') }],
  STRING: [{ parameters: ['any'], zero: '', call: (value) => ok(text(value)) }],
  IS_INT: [castable((value) => toInteger(value))],
  IS_BOOL: [castable((value) => toBoolean(value))],
}

function castable(cast: (value: Value) => Outcome): Signature {
  return {
    parameters: ['any'],
    zero: false,
    call: (value) => ok(cast(value ?? '').problem === undefined),
  }
}

/** The function of this name (upper case) for so many arguments. */
export function functionOf(name: string, count: number): Signature | undefined {
  const overloads = Object.hasOwn(functions, name) ? functions[name] : undefined
  return overloads?.find(({ parameters, rest }) =>
    rest === undefined ? parameters.length === count : parameters.length <= count,
  )
}

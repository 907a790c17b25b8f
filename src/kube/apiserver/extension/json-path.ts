/**
 * JSONPath as printer columns, scale and selectable fields use it (client-go `util/jsonpath`): fields, indexes, slices,
 * wildcards, descent, and filters that compare a field with a literal. Compiled once; bounded in length and in what it
 * finds.
 */
import { isRecord } from '../values.ts'

type Step = (values: readonly unknown[]) => readonly unknown[]

export class JsonPathError extends Error {}

const maxLength = 2048
const maxFound = 10_000

/** Compiles `.spec.replicas`, `$.spec`, `.status.conditions[?(@.type=="Ready")].status`. Throws JsonPathError. */
export function jsonPath(text: string): (value: unknown) => readonly unknown[] {
  if (text.length > maxLength) throw new JsonPathError(`is longer than ${maxLength} characters`)
  const steps = parse(text)
  return (value) => {
    let found: readonly unknown[] = [value]
    for (const step of steps) {
      found = step(found)
      if (found.length === 0) break
      if (found.length > maxFound) found = found.slice(0, maxFound)
    }
    return found
  }
}

/** A path of plain field names only, as scale and selectable fields take: its names. Throws JsonPathError. */
export function simplePath(text: string): readonly string[] {
  if (!text.startsWith('.')) throw new JsonPathError('must be a simple json path starting with .')
  const names: string[] = []
  for (const match of text.matchAll(/\.([^.[\]'"]+)|\['([^'\]]+)'\]|(.)/g)) {
    const name = match[1] ?? match[2]
    if (name === undefined) throw new JsonPathError('must be a simple json path: only field names')
    names.push(name)
  }
  return names
}

export function fieldAt(value: unknown, names: readonly string[]): unknown {
  let at = value
  for (const name of names) {
    if (!isRecord(at) || !Object.hasOwn(at, name)) return undefined
    at = at[name]
  }
  return at
}

function parse(text: string): readonly Step[] {
  const steps: Step[] = []
  let rest = text.startsWith('$') ? text.slice(1) : text
  if (rest === '') throw new JsonPathError('is empty')
  while (rest !== '') {
    let match
    if ((match = /^\.\.([\w-]+|\*)/.exec(rest))) steps.push(descent(match[1] ?? ''))
    else if ((match = /^\.\*/.exec(rest)) || (match = /^\[\*\]/.exec(rest))) steps.push(everything)
    else if ((match = /^\.((?:\\.|[^.[\]\\\s])+)/.exec(rest)))
      steps.push(field((match[1] ?? '').replaceAll(/\\(.)/g, '$1')))
    else if ((match = /^\[\s*(?:'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)")\s*\]/.exec(rest)))
      steps.push(field((match[1] ?? match[2] ?? '').replaceAll(/\\(.)/g, '$1')))
    else if ((match = /^\[\s*(-?\d+)\s*\]/.exec(rest))) steps.push(index(Number(match[1])))
    else if ((match = /^\[\s*(-?\d*)\s*:\s*(-?\d*)\s*\]/.exec(rest)))
      steps.push(slice(numberOr(match[1]), numberOr(match[2])))
    else if (rest.startsWith('[?(')) {
      const end = filterEnd(rest)
      steps.push(filter(rest.slice(3, end)))
      rest = rest.slice(end + 2)
      continue
    } else if (rest === '.') break
    else throw new JsonPathError(`cannot be read at ${JSON.stringify(rest.slice(0, 40))}`)
    rest = rest.slice(match[0].length)
  }
  return steps
}

const numberOr = (text: string | undefined): number | undefined => (text ? Number(text) : undefined)

/** Where `)]` of a filter is, outside of quotes. */
function filterEnd(text: string): number {
  let quote = ''
  for (let i = 3; i < text.length; i++) {
    const char = text[i]
    if (quote) {
      if (char === '\\') i++
      else if (char === quote) quote = ''
    } else if (char === '"' || char === "'") quote = char
    else if (char === ')' && text[i + 1] === ']') return i
  }
  throw new JsonPathError('has a filter that does not end')
}

const field =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => (isRecord(value) && Object.hasOwn(value, name) ? [value[name]] : []))

const everything: Step = (values) =>
  values.flatMap((value) =>
    Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [],
  )

const index =
  (at: number): Step =>
  (values) =>
    values.flatMap((value) => {
      if (!Array.isArray(value)) return []
      const found: unknown = value.at(at)
      return found === undefined ? [] : [found]
    })

const slice =
  (from: number | undefined, to: number | undefined): Step =>
  (values) =>
    values.flatMap((value): unknown[] => (Array.isArray(value) ? value.slice(from, to) : []))

const descent =
  (name: string): Step =>
  (values) => {
    const found: unknown[] = []
    const walk = (value: unknown, depth: number): void => {
      if (depth > 100 || found.length > maxFound) return
      if (Array.isArray(value)) for (const item of value) walk(item, depth + 1)
      else if (isRecord(value))
        for (const [key, item] of Object.entries(value)) {
          if (key === name || name === '*') found.push(item)
          walk(item, depth + 1)
        }
    }
    for (const value of values) walk(value, 0)
    return found
  }

function filter(text: string): Step {
  const match = /^\s*@((?:\.|\[)[^=!<>]*?)?\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*$/.exec(text)
  if (!match) throw new JsonPathError(`has a filter that cannot be read: ${JSON.stringify(text)}`)
  const [, path = '', operator, literal = ''] = match
  const steps = path === '' ? [] : parse(path)
  const value = (item: unknown): readonly unknown[] => {
    let found: readonly unknown[] = [item]
    for (const step of steps) found = step(found)
    return found
  }
  const wanted = operator === undefined ? undefined : literalOf(literal)
  const test = (item: unknown): boolean => {
    const found = value(item)
    if (operator === undefined) return found.length > 0
    return found.some((each) => compares(operator, each, wanted))
  }
  return (values) =>
    values.flatMap((each) =>
      Array.isArray(each) ? each.filter(test) : isRecord(each) && test(each) ? [each] : [],
    )
}

function literalOf(text: string): unknown {
  const quoted = /^(['"])(.*)\1$/s.exec(text)
  if (quoted) return (quoted[2] ?? '').replaceAll(/\\(.)/g, '$1')
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  throw new JsonPathError(`has a filter with a value that cannot be read: ${JSON.stringify(text)}`)
}

function compares(operator: string, left: unknown, right: unknown): boolean {
  if (operator === '==') return left === right
  if (operator === '!=') return left !== right
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string'))
    return false
  const [a, b] = [left, right] as [number, number]
  switch (operator) {
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    default:
      return a >= b
  }
}

/**
 * CEL's extensions for texts, lists, sets and regular expressions, as Kubernetes has them
 * (kubernetes.io/docs/reference/using-api/cel: strings, lists, sets, regex). Each charges what it costs.
 */
import type { Environment } from '@marcbachmann/cel-js'
import { canonicalJson } from '../../../api/validation.ts'
import { PatternError, searchPattern } from '../search-pattern.ts'
import { findAll } from './find.ts'
import { formatText, textOf } from './format-text.ts'
import { spending } from './spending.ts'

const sync = { async: false }
const spend = (steps: number) => spending.current?.charge(Math.ceil(steps))

export function registerFunctions(environment: Environment): void {
  strings(environment)
  lists(environment)
  sets(environment)
  patterns(environment)
}

class Strings {}

function strings(environment: Environment): void {
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, sync)
  add('string.charAt(int): string', (text: string, at: bigint) => {
    const i = Number(at)
    if (i < 0 || i > text.length) throw new Error(`index out of range: ${i}`)
    return text.charAt(i)
  })
  const replace = (text: string, from: string, to: string, count = -1n) => {
    const limit = count < 0n ? Infinity : Number(count)
    const parts = text.split(from)
    const times = Math.min(limit, parts.length - 1)
    spend((text.length + times * to.length) / 16)
    if (limit === 0) return text
    let answer = parts[0] ?? ''
    for (const [i, part] of parts.slice(1).entries()) answer += (i < limit ? to : from) + part
    return answer
  }
  add('string.replace(string, string): string', replace)
  add('string.replace(string, string, int): string', replace)
  add('string.reverse(): string', (text: string) => {
    spend(text.length / 16)
    return Array.from(text).toReversed().join('')
  })
  add('string.format(list): string', (text: string, values: readonly unknown[]) => {
    spend((text.length + values.length) / 4)
    return formatText(text, values)
  })
  environment.registerType('Strings', Strings)
  environment.registerConstant('strings', 'Strings', new Strings())
  add('Strings.quote(string): string', (_: Strings, text: string) => JSON.stringify(text))
}

type Comparable = string | number | bigint | boolean | Date

function lists(environment: Environment): void {
  const add = (signature: string, handler: (...args: never[]) => unknown) =>
    environment.registerFunction(signature, handler, sync)
  const less = (a: Comparable, b: Comparable) => a < b
  add('list.isSorted(): bool', (list: readonly Comparable[]) => {
    spend(list.length / 2)
    return list.every((item, i) => i === 0 || !less(item, list[i - 1]!))
  })
  add('list.sum(): dyn', (list: readonly unknown[]) => {
    spend(list.length / 2)
    if (list.length === 0) return 0n
    if (list.every((each) => typeof each === 'bigint')) return list.reduce((a, b) => a + b, 0n)
    if (list.every((each) => typeof each === 'number')) return list.reduce((a, b) => a + b, 0)
    throw new Error('sum() needs a list of numbers of one type')
  })
  const extreme = (name: string, better: (a: Comparable, b: Comparable) => boolean) =>
    add(`list.${name}(): dyn`, (list: readonly Comparable[]) => {
      spend(list.length / 2)
      if (list.length === 0) throw new Error(`${name} called on empty list`)
      return list.reduce((best, each) => (better(each, best) ? each : best))
    })
  extreme('min', (a, b) => a < b)
  extreme('max', (a, b) => a > b)
  const same = (value: unknown) => {
    const wanted = keyOf(value)
    return (each: unknown) => keyOf(each) === wanted
  }
  add('list.indexOf(dyn): int', (list: readonly unknown[], value: unknown) => {
    spend(list.length)
    return BigInt(list.findIndex(same(value)))
  })
  add('list.lastIndexOf(dyn): int', (list: readonly unknown[], value: unknown) => {
    spend(list.length)
    return BigInt(list.findLastIndex(same(value)))
  })
  add('list.slice(int, int): list', (list: readonly unknown[], from: bigint, to: bigint) => {
    if (from < 0n || to > BigInt(list.length) || from > to)
      throw new Error(`cannot slice(${from}, ${to}) of a list of ${list.length}`)
    return list.slice(Number(from), Number(to))
  })
  add('list.distinct(): list', (list: readonly unknown[]) => {
    spend(list.length)
    return [...new Map(list.toReversed().map((each) => [keyOf(each), each])).values()].toReversed()
  })
}

/** Equal values have equal texts: numbers by value, whatever their type. */
function keyOf(value: unknown): string {
  return canonicalJson(plain(value, 0))
}

function plain(value: unknown, depth: number): unknown {
  if (depth > 100) return null
  if (typeof value === 'bigint') return { number: String(value) }
  if (typeof value === 'number') return { number: String(value) }
  if (Array.isArray(value)) return value.map((each) => plain(each, depth + 1))
  if (
    typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype
  )
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, plain(each, depth + 1)]),
    )
  return typeof value === 'object' && value !== null ? { text: textOf(value) } : value
}

class Sets {}

function sets(environment: Environment): void {
  environment.registerType('Sets', Sets)
  environment.registerConstant('sets', 'Sets', new Sets())
  type List = readonly unknown[]
  const add = (name: string, handler: (_: unknown, a: List, b: List) => boolean) =>
    environment.registerFunction(
      `Sets.${name}(list, list): bool`,
      (self: unknown, a: List, b: List) => {
        spend(a.length + b.length)
        return handler(self, a, b)
      },
      sync,
    )
  const keys = (list: List) => new Set(list.map(keyOf))
  const contains = (a: List, b: List) => {
    const known = keys(a)
    return b.every((each) => known.has(keyOf(each)))
  }
  add('contains', (_, a, b) => contains(a, b))
  add('equivalent', (_, a, b) => contains(a, b) && contains(b, a))
  add('intersects', (_, a, b) => {
    const known = keys(a)
    return b.some((each) => known.has(keyOf(each)))
  })
}

function patterns(environment: Environment): void {
  const readable = <T>(work: () => T): T => {
    try {
      return work()
    } catch (thrown) {
      if (!(thrown instanceof PatternError)) throw thrown
      throw new Error(`the regular expression ${thrown.message}`, { cause: thrown })
    }
  }
  const matches = (text: string, pattern: string) => {
    spend((text.length * Math.max(1, pattern.length / 8)) / 16)
    return readable(() => searchPattern(pattern).found(text))
  }
  const all = (text: string, pattern: string, limit = -1n) => {
    spend((text.length * text.length) / 16)
    return readable(() => findAll(text, pattern, limit < 0n ? Infinity : Number(limit)))
  }
  environment.registerFunction('string.ebbMatches(string): bool', matches, sync)
  environment.registerFunction('ebbMatches(string, string): bool', matches, sync)
  environment.registerFunction(
    'string.find(string): string',
    (text: string, pattern: string) => all(text, pattern, 1n)[0] ?? '',
    sync,
  )
  environment.registerFunction('string.findAll(string): list<string>', all, sync)
  environment.registerFunction('string.findAll(string, int): list<string>', all, sync)
}

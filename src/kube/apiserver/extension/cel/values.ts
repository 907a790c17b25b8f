/**
 * JSON values in CEL's terms. By schema: an integer is an int, a `date-time` a timestamp, a `duration` a duration, and
 * fields whose names are no identifiers are spelt as Kubernetes spells them (`__dash__`). Without a schema: whole numbers
 * are ints.
 */
import { isObject, MAX_DEPTH, nodeOf } from '../../../api/schema-node.ts'
import type { Schema } from '../../../api/schema.ts'
import { celEngine } from './engine.ts'

/** What has been converted in this pass: rules at several levels look at the same values. */
export type Converted = Map<unknown, unknown>

export function celValue(
  schema: Schema | undefined,
  value: unknown,
  known: Converted = new Map(),
  depth = 0,
): unknown {
  if (depth > MAX_DEPTH) return null
  if (typeof value === 'number')
    return Number.isInteger(value) && schema?.type !== 'number' && Math.abs(value) <= 2 ** 63
      ? BigInt(value)
      : value
  if (typeof value === 'string') return schema?.format ? formatted(schema.format, value) : value
  if (typeof value !== 'object' || value === null) return value ?? null
  const before = known.get(value)
  if (before !== undefined) return before
  const converted = Array.isArray(value)
    ? value.map((item: unknown) => celValue(schema?.items, item, known, depth + 1))
    : fieldsOf(schema, value, known, depth)
  known.set(value, converted)
  return converted
}

function fieldsOf(
  schema: Schema | undefined,
  value: object,
  known: Converted,
  depth: number,
): Readonly<Record<string, unknown>> {
  const node = schema && nodeOf(schema)
  const isMap = node !== undefined && typeof node.additionalProperties === 'object'
  const answer: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) {
    if (name === '__proto__') continue
    const next = isMap
      ? node.additionalProperties
      : node?.properties && Object.hasOwn(node.properties, name)
        ? node.properties[name]
        : undefined
    const converted = celValue(isObject(next) ? next : undefined, field, known, depth + 1)
    answer[name] = converted
    const escaped = isMap ? name : escapedName(name)
    if (escaped !== name) answer[escaped] = converted
  }
  return answer
}

const keywords = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)

/** How a rule writes the name of a field. */
export function escapedName(name: string): string {
  if (keywords.has(name)) return `__${name}__`
  if (!/__|[.\-/]/.test(name)) return name
  return name.replaceAll(/__|[.\-/]/g, (found) => escapes[found] ?? found)
}

const escapes: Readonly<Record<string, string>> = {
  __: '__underscores__',
  '.': '__dot__',
  '-': '__dash__',
  '/': '__slash__',
}

function formatted(format: string, text: string): unknown {
  try {
    if (format === 'date-time') return celEngine().timestamp(text)
    if (format === 'date') return celEngine().timestamp(`${text}T00:00:00Z`)
    if (format === 'duration') return celEngine().duration(text)
  } catch {
    return text // not of its format: validation has said so, or the format is not checked
  }
  return format === 'byte' ? Buffer.from(text, 'base64') : text
}

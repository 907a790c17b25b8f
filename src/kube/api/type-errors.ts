/**
 * Values against schemas: the complaints of a CustomResourceDefinition's validation in its words (`typeErrors`),
 * and what Go's decoder would say of the body of a built-in kind (`decodeProblem`). Nulls count as absent.
 *
 * Inside built-in types (behind a `$ref`) `typeErrors` checks types only: what is required or allowed there is
 * said by the kind's own validation, in its own words, because it differs between a Pod and a Knative Revision.
 */
import { referencedName } from './builtin.ts'
import { quantityProblem } from './quantity.ts'
import { fieldPath, fieldSchema, isObject, MAX_DEPTH, nodeOf } from './schema-node.ts'
import type { Schema } from './schema.ts'
import type { FieldCause } from './status-error.ts'

/** More complaints than anyone reads; also bounds the answer to hostile input. */
const MAX_ERRORS = 50

/** Everything that is wrong with `value`, in the order of its fields. Empty when nothing is. */
export function typeErrors(schema: Schema, value: unknown): FieldCause[] {
  const causes: FieldCause[] = []
  walk(schema, value, '', 0, false)
  return causes

  function add(reason: string, field: string, detail: string): void {
    if (causes.length < MAX_ERRORS) causes.push({ reason, field: field || '<nil>', detail })
  }

  function walk(at: Schema, here: unknown, path: string, depth: number, typesOnly: boolean): void {
    if (depth > MAX_DEPTH) return add('FieldValueInvalid', path, 'Invalid value: nested too deeply')
    const onlyTypes = typesOnly || referencedName(at) !== undefined
    const node = nodeOf(at)
    const problem = typeProblem(node, here)
    if (problem !== undefined) {
      const kind = typeName(here)
      return problem === ''
        ? add(
            'FieldValueTypeInvalid',
            path,
            `Invalid value: "${kind}": ${path} in body must be of type ${expected(node)}: "${kind}"`,
          )
        : add('FieldValueInvalid', path, `Invalid value: ${printed(here)}: ${problem}`)
    }
    if (!onlyTypes && isBounded(node))
      for (const [reason, detail] of valueProblems(node, here, path)) add(reason, path, detail)
    if (Array.isArray(here)) {
      if (!onlyTypes)
        for (const [i, identity] of repeated(node, here))
          add('FieldValueDuplicate', `${path}[${i}]`, `Duplicate value: ${goValue(identity)}`)
      if (node.items)
        for (const [i, item] of here.entries())
          walk(node.items, item, `${path}[${i}]`, depth + 1, onlyTypes)
    } else if (isObject(here)) {
      if (!onlyTypes)
        for (const name of node.required ?? [])
          if (here[name] === undefined || here[name] === null)
            add('FieldValueRequired', fieldPath(path, name), 'Required value')
      for (const name of Object.keys(here)) {
        const next = fieldSchema(node, name)
        if (here[name] === null || next === undefined || next === true) continue
        walk(next, here[name], fieldPath(path, name), depth + 1, onlyTypes)
      }
    }
  }
}

/** The items of a list of distinct ones that were there before, with what they are told apart by. */
export function* repeated(
  node: Schema,
  items: readonly unknown[],
): Generator<readonly [index: number, identity: unknown]> {
  const listType = node['x-kubernetes-list-type']
  if (listType !== 'map' && listType !== 'set') return
  const keys = node['x-kubernetes-list-map-keys'] ?? []
  const seen = new Set<string>()
  for (const [i, item] of items.entries()) {
    const identity =
      listType === 'set'
        ? item
        : Object.fromEntries(keys.map((key) => [key, isObject(item) ? item[key] : undefined]))
    const text = JSON.stringify(identity) ?? ''
    if (seen.has(text)) yield [i, identity]
    seen.add(text)
  }
}

/** What is wrong with the type: '' = simply another type, else a sentence; undefined when it fits. */
export function typeProblem(node: Schema, value: unknown): string | undefined {
  if (node['x-kubernetes-int-or-string'])
    return typeof value === 'string' || Number.isInteger(value) ? undefined : ''
  if (node.format === 'quantity') return quantityProblem(value)
  switch (node.type) {
    case undefined:
      return undefined
    case 'object':
      return isObject(value) ? undefined : ''
    case 'array':
      return Array.isArray(value) ? undefined : ''
    case 'integer':
      return Number.isInteger(value) && inRange(node.format, value) ? undefined : ''
    case 'number':
      return typeof value === 'number' ? undefined : ''
    case 'boolean':
      return typeof value === 'boolean' ? undefined : ''
    case 'string':
      if (typeof value !== 'string') return ''
      return formatProblem(node.format, value)
  }
}

const inRange = (format: string | undefined, value: unknown): boolean =>
  typeof value === 'number' &&
  (format === 'int32' ? value >= -(2 ** 31) && value < 2 ** 31 : Math.abs(value) < 2 ** 63)

const time = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function formatProblem(format: string | undefined, value: string): string | undefined {
  if (format === 'date-time' && !time.test(value))
    return `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": cannot parse`
  if (format === 'byte' && !base64.test(value.replaceAll(/[\r\n]/g, '')))
    return 'illegal base64 data at input byte 0'
  return undefined
}

const bounded = new WeakMap<Schema, boolean>()
const bounds = 'maximum minimum maxLength minLength pattern maxItems minItems enum'.split(' ')

/** Whether `valueProblems` has anything to look at; most nodes have no bounds, and most writes meet hundreds. */
function isBounded(node: Schema): boolean {
  let known = bounded.get(node)
  if (known === undefined) bounded.set(node, (known = bounds.some((bound) => bound in node)))
  return known
}

/** Whether a value of the right type is out of its bounds. */
export const hasValueProblem = (node: Schema, value: unknown): boolean =>
  isBounded(node) && valueProblems(node, value, '').next().done !== true

/** Complaints about a value of the right type: ranges, lengths, patterns, enumerations. */
function* valueProblems(node: Schema, value: unknown, path: string): Generator<[string, string]> {
  const bad = (why: string): [string, string] => [
    'FieldValueInvalid',
    `Invalid value: ${printed(value)}: ${path} in body ${why}`,
  ]
  if (typeof value === 'number') {
    if (node.maximum !== undefined && value > node.maximum)
      yield bad(`should be less than or equal to ${node.maximum}`)
    if (node.minimum !== undefined && value < node.minimum)
      yield bad(`should be greater than or equal to ${node.minimum}`)
  }
  if (typeof value === 'string') {
    if (node.maxLength !== undefined && value.length > node.maxLength)
      yield ['FieldValueTooLong', `Too long: may not be more than ${node.maxLength} bytes`]
    if (node.minLength !== undefined && value.length < node.minLength)
      yield bad(`should be at least ${node.minLength} chars long`)
    if (node.pattern !== undefined && !matches(node.pattern, value))
      yield bad(`should match '${node.pattern}'`)
  }
  if (Array.isArray(value)) {
    if (node.maxItems !== undefined && value.length > node.maxItems)
      yield [
        'FieldValueTooMany',
        `Too many: ${value.length}: must have at most ${node.maxItems} items`,
      ]
    if (node.minItems !== undefined && value.length < node.minItems)
      yield bad(`should have at least ${node.minItems} items`)
  }
  if (node.enum && !node.enum.includes(value))
    yield ['FieldValueNotSupported', unsupported(value, node.enum)]
}

/** `Unsupported value: "xl": supported values: "s", "m"`. */
export const unsupported = (value: unknown, supported: readonly unknown[]): string =>
  `Unsupported value: ${printed(value)}: supported values: ${supported.map(printed).join(', ')}`

const patterns = new Map<string, RegExp | undefined>()

/** A pattern that JavaScript cannot read constrains nothing. */
function matches(pattern: string, value: string): boolean {
  if (!patterns.has(pattern)) {
    if (patterns.size > 1000) patterns.clear()
    try {
      patterns.set(pattern, new RegExp(pattern, 'u'))
    } catch {
      patterns.set(pattern, undefined)
    }
  }
  return patterns.get(pattern)?.test(value) ?? true
}

const expected = (node: Schema): string =>
  node['x-kubernetes-int-or-string'] ? 'integer,string' : (node.type ?? 'object')

/** The type of a value in the words of JSON schemas. */
export const typeName = (value: unknown): string =>
  value === null
    ? 'null'
    : Array.isArray(value)
      ? 'array'
      : typeof value === 'number'
        ? Number.isInteger(value)
          ? 'integer'
          : 'number'
        : typeof value

/** A value in a message: strings quoted, the rest as JSON, never long. */
export function printed(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null'
  return text.length > 1000 ? `${text.slice(0, 1000)}...` : text
}

const goValue = (value: unknown): string =>
  isObject(value)
    ? `map[string]interface {}${JSON.stringify(value).replaceAll('":', '": ')}`
    : printed(value)

/**
 * The values inside built-in types that their enumerations do not allow. For the built-in kinds' own validation,
 * since `typeErrors` looks only at types there.
 */
export function unsupportedValues(schema: Schema, value: unknown): FieldCause[] {
  const causes: FieldCause[] = []
  walk(schema, value, '', 0)
  return causes

  function walk(at: Schema, here: unknown, path: string, depth: number): void {
    if (depth > MAX_DEPTH || causes.length >= MAX_ERRORS) return
    const node = nodeOf(at)
    if (Array.isArray(here)) {
      if (node.items)
        for (const [i, item] of here.entries()) walk(node.items, item, `${path}[${i}]`, depth + 1)
    } else if (isObject(here)) {
      for (const name of Object.keys(here)) {
        const next = fieldSchema(node, name)
        if (next !== undefined && next !== true)
          walk(next, here[name], fieldPath(path, name), depth + 1)
      }
    } else if (typeof here === 'string' && here !== '' && node.enum && !node.enum.includes(here)) {
      causes.push({
        reason: 'FieldValueNotSupported',
        field: path,
        detail: unsupported(here, node.enum.map(String).toSorted()),
      })
    }
  }
}

/**
 * The first reason why Go could not read `value` into the type that `schema` names, in the words of its JSON
 * decoder: `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
 * `kind` names the type at the root. The server puts `<Kind> in version "<v>" cannot be handled as a <Kind>: ` before it (400 BadRequest).
 */
export function decodeProblem(
  schema: Schema,
  value: unknown,
  kind: string = goTypeName(schema),
): string | undefined {
  return walk(schema, value, '', kind, 0)

  function walk(
    at: Schema,
    here: unknown,
    path: string,
    struct: string,
    depth: number,
  ): string | undefined {
    if (here === null) return undefined
    if (depth > MAX_DEPTH) return 'json: exceeded max depth'
    const node = nodeOf(at)
    const problem = typeProblem(node, here)
    if (problem !== undefined) {
      if (problem !== '') return problem
      const where = path ? `Go struct field ${struct}.${path}` : 'Go value'
      return `json: cannot unmarshal ${jsonName(here)} into ${where} of type ${goType(at)}`
    }
    if (Array.isArray(here)) {
      for (const item of here) {
        const found = node.items && walk(node.items, item, path, struct, depth + 1)
        if (found) return found
      }
    } else if (isObject(here)) {
      const inner = node.properties ? goTypeName(at, struct) : struct
      for (const name of Object.keys(here)) {
        const next = fieldSchema(node, name)
        if (next === undefined || next === true) continue
        const below = node.properties ? fieldPath(path, name) : path
        const found = walk(next, here[name], below, inner, depth + 1)
        if (found) return found
      }
    }
    return undefined
  }
}

function goTypeName(schema: Schema, otherwise = ''): string {
  const name = schema.$ref && referencedName(schema)
  return name ? name.slice(name.lastIndexOf('.') + 1) : otherwise
}

function goType(schema: Schema): string {
  const name = referencedName(schema)
  if (name !== undefined) return name.split('.').slice(-2).join('.')
  const node = nodeOf(schema)
  if (node.type === 'array') return `[]${node.items ? goType(node.items) : 'interface {}'}`
  if (node.type === 'integer') return node.format ?? 'int64'
  if (node.type === 'boolean') return 'bool'
  if (node.type === 'number') return 'float64'
  if (node.type === 'object')
    return typeof node.additionalProperties === 'object'
      ? `map[string]${goType(node.additionalProperties)}`
      : 'map[string]interface {}'
  return 'string'
}

const jsonName = (value: unknown): string =>
  Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value

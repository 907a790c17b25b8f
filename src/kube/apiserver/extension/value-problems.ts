/**
 * A value against the whole schema of a custom kind, in apiextensions' words (kube-openapi
 * `validation`). With the stored object beside it, what has not changed is not complained of again ("ratcheting"), so
 * that a schema may become stricter without locking the objects that are already there.
 */
import { fieldPath, isObject, MAX_DEPTH } from '../../api/schema-node.ts'
import type { FieldCause } from '../../api/status-error.ts'
import { printed, typeName, unsupported } from '../../api/type-errors.ts'
import { canonicalJson, sameJson } from '../../api/validation.ts'
import { equal } from '../values.ts'
import type { CustomSchema } from './custom-schema.ts'
import { isOfFormat } from './formats.ts'
import { PatternError, searchPattern } from './search-pattern.ts'

/** More complaints than anyone reads. */
const maxCauses = 50

/** Everything that is wrong with `value`; `old` is the stored value in its place. */
export function valueProblems(
  schema: CustomSchema,
  value: unknown,
  options: { readonly path?: string; readonly old?: unknown } = {},
): FieldCause[] {
  const causes: FieldCause[] = []
  new Check(causes).node(schema, value, options.path ?? '', 0, options.old)
  return causes
}

class Check {
  readonly #causes: FieldCause[]

  constructor(causes: FieldCause[]) {
    this.#causes = causes
  }

  #add(reason: string, field: string, detail: string): void {
    if (this.#causes.length < maxCauses)
      this.#causes.push({ reason, field: field || '<nil>', detail })
  }

  node(schema: CustomSchema, value: unknown, path: string, depth: number, old: unknown): void {
    if (depth > MAX_DEPTH)
      return this.#add('FieldValueInvalid', path, 'Invalid value: nested too deeply')
    if (old !== undefined && equal(old, value)) return
    if (value === null && schema.nullable) return
    const expected = typeMismatch(schema, value)
    if (expected !== undefined) {
      const type = typeName(value)
      return this.#add(
        'FieldValueTypeInvalid',
        path,
        `Invalid value: "${type}": ${path} in body must be of type ${expected}: "${type}"`,
      )
    }
    this.#own(schema, value, path)
    this.#parts(schema, value, path, depth, old)
    this.#combined(schema, value, path, depth)
  }

  /** What the schema says of the value itself. */
  #own(schema: CustomSchema, value: unknown, path: string): void {
    const bad = (why: string) =>
      this.#add(
        'FieldValueInvalid',
        path,
        `Invalid value: ${printed(value)}: ${path} in body ${why}`,
      )
    if (typeof value === 'number') numberProblems(schema, value, bad)
    else if (typeof value === 'string') this.#text(schema, value, path, bad)
    else if (Array.isArray(value)) this.#list(schema, value, path, bad)
    else if (isObject(value)) this.#object(schema, value, path, bad)
    if (schema.enum && !schema.enum.some((each) => sameJson(each, value)))
      this.#add('FieldValueNotSupported', path, unsupported(value, schema.enum))
  }

  #text(schema: CustomSchema, value: string, path: string, bad: (why: string) => void): void {
    const { maxLength, minLength, pattern, format } = schema
    if (maxLength !== undefined && value.length > maxLength && runes(value) > maxLength)
      this.#add('FieldValueTooLong', path, `Too long: may not be more than ${maxLength} bytes`)
    if (minLength !== undefined && runes(value) < minLength)
      bad(`should be at least ${minLength} chars long`)
    if (pattern !== undefined && !isFound(pattern, value)) bad(`should match '${pattern}'`)
    if (format !== undefined && !schema['x-kubernetes-int-or-string'] && !isOfFormat(format, value))
      bad(`must be of type ${format}: ${printed(value)}`)
  }

  #list(schema: CustomSchema, value: readonly unknown[], path: string, bad: (why: string) => void) {
    const { maxItems, minItems } = schema
    if (maxItems !== undefined && value.length > maxItems)
      this.#add(
        'FieldValueTooMany',
        path,
        `Too many: ${value.length}: must have at most ${maxItems} items`,
      )
    if (minItems !== undefined && value.length < minItems)
      bad(`should have at least ${minItems} items`)
    const type = schema['x-kubernetes-list-type']
    if (type !== 'map' && type !== 'set') return
    const seen = new Set<string>()
    for (const [i, item] of value.entries()) {
      const identity = type === 'set' ? item : keysOf(schema, item)
      const text = canonicalJson(identity) ?? ''
      if (seen.has(text))
        this.#add('FieldValueDuplicate', `${path}[${i}]`, `Duplicate value: ${goValue(identity)}`)
      seen.add(text)
    }
  }

  #object(
    schema: CustomSchema,
    value: Readonly<Record<string, unknown>>,
    path: string,
    bad: (why: string) => void,
  ): void {
    for (const name of schema.required ?? [])
      if (value[name] === undefined)
        this.#add('FieldValueRequired', fieldPath(path, name), 'Required value')
    const { minProperties, maxProperties } = schema
    if (minProperties === undefined && maxProperties === undefined) return
    const count = Object.keys(value).length
    if (maxProperties !== undefined && count > maxProperties)
      this.#add(
        'FieldValueTooMany',
        path,
        `Too many: ${count}: must have at most ${maxProperties} items`,
      )
    if (minProperties !== undefined && count < minProperties)
      bad(`should have at least ${minProperties} properties`)
  }

  #parts(schema: CustomSchema, value: unknown, path: string, depth: number, old: unknown): void {
    if (Array.isArray(value)) {
      if (!schema.items) return
      const before = oldItems(schema, old)
      for (const [i, item] of value.entries())
        this.node(schema.items, item, `${path}[${i}]`, depth + 1, before(item))
    } else if (isObject(value)) {
      if (schema['x-kubernetes-embedded-resource'])
        for (const name of ['apiVersion', 'kind'])
          if (typeof value[name] !== 'string' || value[name] === '')
            this.#add(
              'FieldValueRequired',
              fieldPath(path, name),
              'Required value: must not be empty',
            )
      const before = isObject(old) ? old : {}
      const { properties, additionalProperties } = schema
      if (!properties && typeof additionalProperties !== 'object') return
      for (const name of Object.keys(value)) {
        const next =
          properties && Object.hasOwn(properties, name) ? properties[name] : additionalProperties
        if (typeof next !== 'object') continue
        this.node(next, value[name], fieldPath(path, name), depth + 1, before[name])
      }
    }
  }

  #combined(schema: CustomSchema, value: unknown, path: string, depth: number): void {
    const { allOf, anyOf, oneOf, not } = schema
    const against = (each: CustomSchema): FieldCause[] => {
      const causes: FieldCause[] = []
      new Check(causes).node(each, value, path, depth + 1, undefined)
      return causes
    }
    const fail = (why: string) =>
      this.#add('FieldValueInvalid', path, `Invalid value: "": ${JSON.stringify(path)} must ${why}`)
    const merge = (causes: readonly FieldCause[] | undefined) => {
      for (const { reason, field, detail } of causes ?? []) this.#add(reason, field, detail)
    }
    const best = (all: readonly FieldCause[][]) =>
      all.toSorted((a, b) => a.length - b.length).find((causes) => causes.length > 0)
    if (allOf) {
      const failed = allOf.map(against).filter((causes) => causes.length > 0)
      if (failed.length > 0) {
        fail('validate all the schemas (allOf)')
        for (const causes of failed) merge(causes)
      }
    }
    if (anyOf) {
      const results = anyOf.map(against)
      if (results.length > 0 && results.every((causes) => causes.length > 0)) {
        fail('validate at least one schema (anyOf)')
        merge(best(results))
      }
    }
    if (oneOf) {
      const results = oneOf.map(against)
      const valid = results.filter((causes) => causes.length === 0).length
      if (results.length > 0 && valid !== 1) {
        fail(
          `validate one and only one schema (oneOf). ${valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`}`,
        )
        if (valid === 0) merge(best(results))
      }
    }
    if (not && against(not).length === 0) fail('not validate the schema (not)')
  }
}

function numberProblems(schema: CustomSchema, value: number, bad: (why: string) => void): void {
  const { maximum, minimum, exclusiveMaximum, exclusiveMinimum, multipleOf } = schema
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum))
    bad(`should be less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`)
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum))
    bad(`should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`)
  if (multipleOf !== undefined && multipleOf > 0 && !isMultiple(value, multipleOf))
    bad(`should be a multiple of ${multipleOf}`)
}

function isMultiple(value: number, of: number): boolean {
  const quotient = value / of
  return Math.abs(quotient - Math.round(quotient)) < 1e-9 * Math.max(1, Math.abs(quotient))
}

const runes = (text: string): number => {
  let count = 0
  for (const _ of text) count++
  return count
}

/** A pattern that our machine cannot read constrains nothing; whoever brought it was warned. */
function isFound(pattern: string, value: string): boolean {
  try {
    return searchPattern(pattern).found(value)
  } catch (thrown) {
    if (thrown instanceof PatternError) return true
    throw thrown
  }
}

/** What type the schema expects, when the value is of another; undefined when it fits. */
function typeMismatch(schema: CustomSchema, value: unknown): string | undefined {
  if (schema['x-kubernetes-int-or-string'])
    return typeof value === 'string' || Number.isInteger(value) ? undefined : 'integer,string'
  const { type, format } = schema
  switch (type) {
    case undefined:
      return undefined
    case 'object':
      return isObject(value) ? undefined : type
    case 'array':
      return Array.isArray(value) ? undefined : type
    case 'integer':
      return Number.isInteger(value) && inRange(format, Number(value)) ? undefined : type
    case 'number':
    case 'string':
    case 'boolean':
      return typeof value === type ? undefined : type
  }
}

const inRange = (format: string | undefined, value: number): boolean =>
  format !== 'int32' || (value >= -2_147_483_648 && value <= 2_147_483_647)

/** What identifies an item of a `list-type: map`. */
export const keysOf = (schema: CustomSchema, item: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    (schema['x-kubernetes-list-map-keys'] ?? []).map((key) => [
      key,
      isObject(item) ? (item[key] ?? schema.items?.properties?.[key]?.default) : undefined,
    ]),
  )

/** Finds the stored item that is the same as a new one: only lists with keys know. */
export function oldItems(schema: CustomSchema, old: unknown): (item: unknown) => unknown {
  if (!Array.isArray(old) || schema['x-kubernetes-list-type'] !== 'map') return () => undefined
  const byKey = new Map(old.map((item: unknown) => [canonicalJson(keysOf(schema, item)), item]))
  return (item) => byKey.get(canonicalJson(keysOf(schema, item)))
}

const goValue = (value: unknown): string =>
  isObject(value)
    ? `{${Object.entries(value)
        .map(([key, each]) => `${JSON.stringify(key)}:${printed(each)}`)
        .join(',')}}`
    : printed(value)

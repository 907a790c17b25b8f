/**
 * What a structural schema may be (apiextensions `structural/validation`): every place has a type,
 * nothing but validations stands in allOf, anyOf, oneOf and not, and defaults are valid values of their own schema.
 */
import { isObject } from '../../api/schema-node.ts'
import type { FieldCause } from '../../api/status-error.ts'
import {
  duplicate,
  notAllowed,
  notSupported,
  required,
  sameJson,
  wrong,
  type Complaints,
} from '../../api/validation.ts'
import { fieldsOf } from '../values.ts'
import { cleanSchema } from './clean-schema.ts'
import type { CustomSchema } from './custom-schema.ts'
import { PatternError, searchPattern } from './search-pattern.ts'
import { pruned } from './structure.ts'
import { valueProblems } from './value-problems.ts'

type Raw = Readonly<Record<string, unknown>>

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string']
const maxDepth = 64
const maxNodes = 100_000

/** Complaints about the schema at `field`, and through `warn` what of it is not checked here. */
export function schemaProblems(
  schema: unknown,
  field: string,
  warn: (text: string) => void,
): readonly FieldCause[] {
  if (!isObject(schema)) return [required(field, 'schemas are required')]
  const walk = new Walk(warn)
  const causes: FieldCause[] = []
  for (const cause of walk.root(schema, field)) if (causes.push(cause) >= 50) break
  // Only a schema that can be believed says what its defaults must be.
  if (causes.length > 0) return causes
  for (const cause of defaultsBelow(cleanSchema(schema), field)) if (causes.push(cause) >= 50) break
  return causes
}

function* defaultsBelow(schema: CustomSchema, field: string): Complaints {
  if (schema.default !== undefined) yield* defaultProblems(schema, `${field}.default`)
  for (const [name, each] of Object.entries(schema.properties ?? {}))
    yield* defaultsBelow(each, `${field}.properties[${name}]`)
  const { additionalProperties, items } = schema
  if (typeof additionalProperties === 'object')
    yield* defaultsBelow(additionalProperties, `${field}.additionalProperties`)
  if (items) yield* defaultsBelow(items, `${field}.items`)
}

class Walk {
  readonly #warn: (text: string) => void
  #nodes = 0

  constructor(warn: (text: string) => void) {
    this.#warn = warn
  }

  *root(schema: Raw, field: string): Complaints {
    if (schema['type'] === undefined)
      yield required(`${field}.type`, 'must not be empty at the root')
    else if (schema['type'] !== 'object')
      yield wrong(`${field}.type`, schema['type'], 'must be object at the root')
    if (schema['nullable'] === true)
      yield notAllowed(`${field}.nullable`, 'nullable cannot be true at the root')
    yield* metadataProblems(
      fieldsOf(schema['properties'])['metadata'],
      `${field}.properties[metadata]`,
    )
    yield* this.#node(schema, field, 0)
  }

  *#node(schema: Raw, field: string, depth: number): Complaints {
    if (++this.#nodes > maxNodes || depth > maxDepth)
      return yield notAllowed(
        field,
        depth > maxDepth
          ? `the schema is nested more than ${maxDepth} levels deep`
          : `the schema has more than ${maxNodes} places`,
      )
    yield* unsupportedKeywords(schema, field)
    yield* keywordTypes(schema, field)
    yield* this.#values(schema, field)
    yield* extensionProblems(schema, field)
    yield* this.#parts(schema, field, depth)
    yield* this.#combined(schema, schema, field, depth)
  }

  *#values({ pattern }: Raw, field: string): Complaints {
    if (typeof pattern !== 'string') return
    try {
      searchPattern(pattern)
    } catch (thrown) {
      if (!(thrown instanceof PatternError)) throw thrown
      if (isRegularExpression(pattern))
        this.#warn(`${field}.pattern is not checked: ${JSON.stringify(pattern)} ${thrown.message}`)
      else
        yield wrong(
          `${field}.pattern`,
          pattern,
          `must be a valid regular expression, but isn't: error parsing regexp: ${thrown.message}`,
        )
    }
  }

  *#parts(schema: Raw, field: string, depth: number): Complaints {
    const { properties, additionalProperties, items } = schema
    for (const [name, each] of Object.entries(fieldsOf(properties))) {
      const at = `${field}.properties[${name}]`
      if (!isObject(each)) yield wrong(at, each, 'must be a schema object')
      else {
        yield* typeOf(each, at, 'must not be empty for specified object fields')
        yield* this.#node(each, at, depth + 1)
      }
    }
    if (isObject(additionalProperties)) {
      const at = `${field}.additionalProperties`
      yield* typeOf(additionalProperties, at, 'must not be empty for specified object fields')
      yield* this.#node(additionalProperties, at, depth + 1)
    }
    if (isObject(items)) {
      yield* typeOf(items, `${field}.items`, 'must not be empty for specified array items')
      yield* this.#node(items, `${field}.items`, depth + 1)
    } else if (schema['type'] === 'array' && items === undefined && !isPreserved(schema))
      yield required(`${field}.items`, 'must be specified')
  }

  /** allOf and its like at `schema`, which must not reach beyond what `structure` declares. */
  *#combined(schema: Raw, structure: Raw, field: string, depth: number): Complaints {
    for (const name of ['allOf', 'anyOf', 'oneOf'] as const) {
      const list = schema[name]
      if (!Array.isArray(list)) continue
      for (const [i, each] of list.entries())
        yield* this.#validation(each, structure, `${field}.${name}[${i}]`, depth + 1)
    }
    if (schema['not'] !== undefined)
      yield* this.#validation(schema['not'], structure, `${field}.not`, depth + 1)
  }

  *#validation(schema: unknown, structure: Raw, field: string, depth: number): Complaints {
    if (!isObject(schema)) return yield wrong(field, schema, 'must be a schema object')
    if (++this.#nodes > maxNodes || depth > maxDepth)
      return yield notAllowed(field, `the schema is nested more than ${maxDepth} levels deep`)
    yield* unsupportedKeywords(schema, field)
    yield* keywordTypes(schema, field)
    yield* this.#values(schema, field)
    const isIntOrString = structure['x-kubernetes-int-or-string'] === true
    for (const name of Object.keys(schema)) {
      if (name === 'type' && isIntOrString) continue
      if (structuralOnly.has(name) || name.startsWith('x-kubernetes-'))
        if (name !== 'x-kubernetes-validations' || !/\.allOf\[\d+\]$/.test(field))
          yield notAllowed(
            `${field}.${name}`,
            name.startsWith('x-') || name === 'additionalProperties' || name === 'default'
              ? 'must be undefined to be structural'
              : 'must be empty to be structural',
          )
    }
    const declared = fieldsOf(structure['properties'])
    for (const [name, each] of Object.entries(fieldsOf(schema['properties']))) {
      const below = Object.hasOwn(declared, name) ? declared[name] : undefined
      if (
        below === undefined &&
        !isPreserved(structure) &&
        structure['additionalProperties'] === undefined
      )
        yield required(
          `${field.replace(/\.(?:allOf|anyOf|oneOf)\[\d+\].*$|\.not.*$/s, '')}.properties[${name}]`,
          `because it is defined in ${field}.properties[${name}]`,
        )
      else yield* this.#validation(each, fieldsOf(below), `${field}.properties[${name}]`, depth + 1)
    }
    if (schema['items'] !== undefined)
      yield* this.#validation(
        schema['items'],
        fieldsOf(structure['items']),
        `${field}.items`,
        depth + 1,
      )
    yield* this.#combined(schema, structure, field, depth)
  }
}

const structuralOnly = new Set([
  'type',
  'additionalProperties',
  'default',
  'title',
  'description',
  'nullable',
])

const isPreserved = (schema: Raw): boolean =>
  schema['x-kubernetes-preserve-unknown-fields'] === true

function* typeOf(schema: Raw, field: string, why: string): Complaints {
  if (schema['type'] !== undefined) return
  if (schema['x-kubernetes-int-or-string'] === true || isPreserved(schema)) return
  yield required(`${field}.type`, why)
}

function* unsupportedKeywords(schema: Raw, field: string): Complaints {
  const { type, additionalProperties, properties, items } = schema
  if (schema['$ref'] !== undefined) yield notAllowed(`${field}.$ref`, '$ref is not supported')
  for (const name of [
    'definitions',
    'dependencies',
    'patternProperties',
    'id',
    '$schema',
    'additionalItems',
  ])
    if (schema[name] !== undefined) yield notAllowed(`${field}.${name}`, `${name} is not supported`)
  if (schema['uniqueItems'] === true)
    yield notAllowed(
      `${field}.uniqueItems`,
      'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
    )
  if (additionalProperties === false)
    yield notAllowed(`${field}.additionalProperties`, 'additionalProperties cannot be set to false')
  if (additionalProperties !== undefined && Object.keys(fieldsOf(properties)).length > 0)
    yield notAllowed(
      `${field}.additionalProperties`,
      'additionalProperties and properties are mutual exclusive',
    )
  if (Array.isArray(items))
    yield notAllowed(`${field}.items`, 'items must be a schema object and not an array')
  if (type === 'null')
    yield notAllowed(`${field}.type`, 'type cannot be set to null, use nullable as an alternative')
  else if (type !== undefined && !types.some((each) => each === type))
    yield notSupported(`${field}.type`, type, types)
}

const numbers = [
  'maximum',
  'minimum',
  'multipleOf',
  'maxLength',
  'minLength',
  'maxItems',
  'minItems',
  'maxProperties',
  'minProperties',
]
const flags = ['nullable', 'exclusiveMinimum', 'exclusiveMaximum', 'uniqueItems']
const lists = [
  'required',
  'enum',
  'allOf',
  'anyOf',
  'oneOf',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
]
const texts = ['description', 'format', 'pattern', 'title', 'type']
const maps = ['properties']

/** Keywords must have the types that Go's decoder would take. */
function* keywordTypes(schema: Raw, field: string): Complaints {
  const checks: readonly (readonly [readonly string[], (value: unknown) => boolean, string])[] = [
    [numbers, (value) => typeof value === 'number', 'a number'],
    [flags, (value) => typeof value === 'boolean', 'true or false'],
    [lists, (value) => Array.isArray(value), 'a list'],
    [texts, (value) => typeof value === 'string', 'a string'],
    [maps, (value) => isObject(value), 'a map'],
  ]
  for (const [names, fits, what] of checks)
    for (const name of names) {
      const value = schema[name]
      if (value !== undefined && value !== null && !fits(value))
        yield wrong(`${field}.${name}`, value, `must be ${what}`)
    }
  if (
    Array.isArray(schema['required']) &&
    !schema['required'].every((each) => typeof each === 'string')
  )
    yield wrong(`${field}.required`, schema['required'], 'must be a list of strings')
  const rules = schema['x-kubernetes-validations']
  if (Array.isArray(rules)) yield* ruleTypes(rules, field)
}

/** Each rule is a map of texts. */
function* ruleTypes(rules: readonly unknown[], field: string): Complaints {
  for (const [i, rule] of rules.entries()) {
    const at = `${field}.x-kubernetes-validations[${i}]`
    if (!isObject(rule)) {
      yield wrong(at, rule, 'must be a map')
      continue
    }
    for (const name of ['rule', 'message', 'messageExpression', 'reason', 'fieldPath'])
      if (rule[name] !== undefined && typeof rule[name] !== 'string')
        yield wrong(`${at}.${name}`, rule[name], 'must be a string')
    if (rule['optionalOldSelf'] !== undefined && typeof rule['optionalOldSelf'] !== 'boolean')
      yield wrong(`${at}.optionalOldSelf`, rule['optionalOldSelf'], 'must be true or false')
  }
}

function* extensionProblems(schema: Raw, field: string): Complaints {
  const { type } = schema
  const preserve = schema['x-kubernetes-preserve-unknown-fields']
  if (preserve !== undefined && preserve !== true)
    yield wrong(
      `${field}.x-kubernetes-preserve-unknown-fields`,
      preserve,
      'must be true or undefined',
    )
  if (schema['x-kubernetes-embedded-resource'] === true) {
    if (type !== 'object')
      yield wrong(
        `${field}.type`,
        type ?? '',
        'must be object if x-kubernetes-embedded-resource is true',
      )
    if (!isPreserved(schema) && Object.keys(fieldsOf(schema['properties'])).length === 0)
      yield required(
        `${field}.properties`,
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      )
  }
  if (schema['x-kubernetes-int-or-string'] === true && type !== undefined)
    yield wrong(`${field}.type`, type, 'must be empty if x-kubernetes-int-or-string is true')
  yield* listTypeProblems(schema, field)
  const mapType = schema['x-kubernetes-map-type']
  if (mapType !== undefined) {
    if (type !== 'object')
      yield wrong(
        `${field}.type`,
        type ?? '',
        'must be object if x-kubernetes-map-type is specified',
      )
    if (mapType !== 'atomic' && mapType !== 'granular')
      yield notSupported(`${field}.x-kubernetes-map-type`, mapType, ['atomic', 'granular'])
  }
}

function* listTypeProblems(schema: Raw, field: string): Complaints {
  const listType = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys']
  if (listType === undefined) {
    if (Array.isArray(keys) && keys.length > 0)
      yield required(
        `${field}.x-kubernetes-list-type`,
        'must be map if x-kubernetes-list-map-keys is non-empty',
      )
    return
  }
  if (listType !== 'atomic' && listType !== 'set' && listType !== 'map')
    return yield notSupported(`${field}.x-kubernetes-list-type`, listType, ['atomic', 'map', 'set'])
  if (schema['type'] !== 'array')
    yield wrong(
      `${field}.type`,
      schema['type'] ?? '',
      `must be array if x-kubernetes-list-type is specified`,
    )
  if (listType !== 'map') return
  if (!Array.isArray(keys) || keys.length === 0)
    return yield required(
      `${field}.x-kubernetes-list-map-keys`,
      'must not be empty if x-kubernetes-list-type is map',
    )
  const items = fieldsOf(schema['items'])
  if (items['type'] !== 'object')
    yield wrong(
      `${field}.items.type`,
      items['type'] ?? '',
      "must be object if parent array's x-kubernetes-list-type is map",
    )
  const mustBe = Array.isArray(items['required']) ? items['required'] : []
  for (const [i, key] of keys.entries()) {
    const at = `${field}.x-kubernetes-list-map-keys[${i}]`
    const property = typeof key === 'string' ? fieldsOf(items['properties'])[key] : undefined
    if (!isObject(property)) yield wrong(at, key, 'must be the name of an item property')
    else if (property['type'] === 'array' || property['type'] === 'object')
      yield wrong(
        `${field}.items.properties[${String(key)}].type`,
        property['type'],
        "must be a scalar type if parent array's x-kubernetes-list-type is map",
      )
    else if (!mustBe.includes(key) && property['default'] === undefined)
      yield required(
        `${field}.items.properties[${String(key)}].default`,
        'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
      )
    if (keys.indexOf(key) < i) yield duplicate(at, key)
  }
}

/** The metadata of the object itself may be narrowed only in its names. */
function* metadataProblems(schema: unknown, field: string): Complaints {
  if (!isObject(schema)) return
  if (schema['type'] !== undefined && schema['type'] !== 'object')
    yield wrong(`${field}.type`, schema['type'], 'must be object')
  const beyond =
    Object.keys(fieldsOf(schema['properties'])).some(
      (name) => name !== 'name' && name !== 'generateName',
    ) || Object.keys(schema).some((name) => !['type', 'properties', 'description'].includes(name))
  if (beyond)
    yield notAllowed(
      field,
      'must not specify anything other than name and generateName, but metadata is implicitly specified',
    )
}

function* defaultProblems(schema: CustomSchema, field: string): Complaints {
  const { default: value, ...own } = schema
  if (value === null && !schema.nullable)
    return yield wrong(field, value, 'must not be null, as the field is not nullable')
  if (!sameJson(pruned(own, value), value))
    yield wrong(field, value, 'must not have unknown fields')
  for (const { reason, detail } of valueProblems(own, value)) yield { reason, field, detail }
}

/** Whether any reader of regular expressions takes it: ours knows less than RE2 does. */
function isRegularExpression(pattern: string): boolean {
  if (/\(\?(?:[=!]|<[=!])|\\[1-9]/.test(pattern)) return false // lookaround, back-references
  try {
    new RegExp(pattern, 'u')
    return true
  } catch {
    try {
      new RegExp(pattern)
      return true
    } catch {
      return false
    }
  }
}

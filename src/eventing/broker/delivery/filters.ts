/**
 * Which events a Trigger wants: `spec.filter.attributes` and the dialects of `spec.filters`, compiled once. For people
 * a filter also says which of its terms an event failed, and what the event had instead (knative specs,
 * "Trigger filtering"; CloudEvents Subscriptions API, section 3.2.4).
 */
import { compileCesql, type Functions } from '../../cesql/cesql.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import { textOf } from '../../cloudevents/cloud-event.ts'
import { verifyFunction, type KeysByOwner } from './correlation.ts'

type Strings = Readonly<Record<string, string>>

/** One element of `spec.filters`: one of the dialects, or nothing, which is neutral. */
export interface FilterSpec {
  readonly exact?: Strings
  readonly prefix?: Strings
  readonly suffix?: Strings
  readonly all?: readonly FilterSpec[]
  readonly any?: readonly FilterSpec[]
  readonly not?: FilterSpec
  readonly cesql?: string
}

/** The part of a Trigger's spec that filters. */
export interface Filtering {
  readonly filter?: { readonly attributes?: Strings }
  readonly filters?: readonly FilterSpec[]
  /** Keys of the RequestReplies that its expressions ask about. */
  readonly correlationKeys?: KeysByOwner
}

/** The first term that is false. */
export interface Refusal {
  /** Where it stands: `filters[0].exact.type`. */
  readonly term: string
  /** What it asks for. */
  readonly wanted: string
  /** What the event has; absent when it has no such attribute. */
  readonly found?: string
  /** Why an expression has no value at all. */
  readonly problem?: string
  /** Of `any`: what was false in each of its filters. */
  readonly terms?: readonly Refusal[]
}

/** Undefined = the event passes. */
export type Filter = (event: CloudEvent) => Refusal | undefined

/** Throws CesqlSyntaxError for an expression that is none; admission has refused it before. */
export function compileFilter({ filter, filters, correlationKeys = {} }: Filtering): Filter {
  if (filters && filters.length > 0) return all(filters, 'filters', verifyFunction(correlationKeys))
  return attributesFilter(filter?.attributes ?? {})
}

/** `spec.filter.attributes`: all entries hold; an empty value asks that there be any. */
function attributesFilter(attributes: Strings): Filter {
  const wanted = Object.entries(attributes)
  return (event) => {
    for (const [name, value] of wanted) {
      const found = attributeOf(event, name)
      const holds = value === '' ? found !== undefined && found !== '' : found === value
      if (!holds) return refusal(`filter.attributes.${name}`, value === '' ? 'any' : value, found)
    }
    return undefined
  }
}

function compile(spec: FilterSpec, path: string, functions: Functions): Filter {
  const parts: Filter[] = []
  const { exact, prefix, suffix, not, cesql } = spec
  if (exact) parts.push(texts(exact, `${path}.exact`, (found, value) => found === value))
  if (prefix) parts.push(texts(prefix, `${path}.prefix`, (found, value) => found.startsWith(value)))
  if (suffix) parts.push(texts(suffix, `${path}.suffix`, (found, value) => found.endsWith(value)))
  if (spec.all) parts.push(all(spec.all, `${path}.all`, functions))
  if (spec.any) parts.push(any(spec.any, `${path}.any`, functions))
  if (not && !isNeutral(not)) parts.push(inverse(not, `${path}.not`, functions))
  if (cesql !== undefined && cesql !== '') parts.push(sql(cesql, `${path}.cesql`, functions))
  return (event) => firstRefusal(parts, event)
}

/** `{}` says nothing, also inside of `any` and `not`. */
const isNeutral = (spec: FilterSpec): boolean =>
  Object.values(spec).every((value) => value === undefined || value === '')

function firstRefusal(filters: readonly Filter[], event: CloudEvent): Refusal | undefined {
  for (const filter of filters) {
    const refused = filter(event)
    if (refused) return refused
  }
  return undefined
}

function all(specs: readonly FilterSpec[], path: string, functions: Functions): Filter {
  const filters = specs.map((spec, i) => compile(spec, `${path}[${i}]`, functions))
  return (event) => firstRefusal(filters, event)
}

function any(specs: readonly FilterSpec[], path: string, functions: Functions): Filter {
  const filters = specs.map((spec, i) => compile(spec, `${path}[${i}]`, functions))
  if (filters.length === 0) return () => undefined
  return (event) => {
    const terms: Refusal[] = []
    for (const filter of filters) {
      const refused = filter(event)
      if (!refused) return undefined
      terms.push(refused)
    }
    return { term: path, wanted: 'one of its filters', terms }
  }
}

function inverse(spec: FilterSpec, path: string, functions: Functions): Filter {
  const filter = compile(spec, path, functions)
  return (event) => (filter(event) ? undefined : { term: path, wanted: 'that it does not match' })
}

/** An entry without a value is never met: one that matched all events would be a trap. */
function texts(
  entries: Strings,
  path: string,
  holds: (found: string, value: string) => boolean,
): Filter {
  const wanted = Object.entries(entries)
  return (event) => {
    for (const [name, value] of wanted) {
      const found = attributeOf(event, name)
      if (value === '' || found === undefined || !holds(found, value))
        return refusal(`${path}.${name}`, value, found)
    }
    return undefined
  }
}

/** An error is no match, and neither is a value that is not TRUE (CESQL 1.0 as Knative uses it). */
function sql(expression: string, path: string, functions: Functions): Filter {
  const evaluate = compileCesql(expression, functions)
  return ({ attributes }) => {
    const { value, problem } = evaluate(attributes)
    if (problem) return { term: path, wanted: expression, problem: problem.message }
    return value === true ? undefined : { term: path, wanted: expression, found: String(value) }
  }
}

/** Attributes by the names filters use for them; those that the specification defines are always there. */
function attributeOf({ attributes }: CloudEvent, name: string): string | undefined {
  if (Object.hasOwn(attributes, name)) return textOf(attributes[name])
  if (name === 'datamediatype')
    return textOf(attributes['datacontenttype']).split(';')[0]?.trim().toLowerCase() ?? ''
  // 0.3 has the other name for it.
  if (name === 'schemaurl') return textOf(attributes['dataschema'])
  if (name === 'dataschema') return textOf(attributes['schemaurl'])
  return standard.has(name) ? '' : undefined
}

const standard = new Set([
  'specversion',
  'type',
  'source',
  'subject',
  'id',
  'time',
  'datacontenttype',
])

const refusal = (term: string, wanted: string, found: string | undefined): Refusal => ({
  term,
  wanted,
  ...(found !== undefined && { found }),
})

/** Filters of Triggers as the API has them: one dialect each, names of attributes, CESQL that parses. */
import {
  genericError,
  invalidKeyName,
  invalidValue,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { list, map, object, string, type Schema } from '../../../kube/api/schema.ts'
import { compileCesql } from '../../cesql/cesql.ts'
import { CesqlSyntaxError } from '../../cesql/syntax.ts'
import { isFields } from '../../../knative/old-form.ts'
import type { StatusError } from '../../../kube/api/status-error.ts'
import { cannotDecode, refuseUnknown } from '../admission/decoding.ts'

/** One of the dialects, or nothing. */
export interface SubscriptionsApiFilter {
  readonly exact?: Readonly<Record<string, string>>
  readonly prefix?: Readonly<Record<string, string>>
  readonly suffix?: Readonly<Record<string, string>>
  readonly all?: readonly SubscriptionsApiFilter[]
  readonly any?: readonly SubscriptionsApiFilter[]
  readonly not?: SubscriptionsApiFilter
  readonly cesql?: string
}

const dialects = ['exact', 'prefix', 'suffix', 'all', 'any', 'not', 'cesql'] as const

/** Filters may stand in filters; the schema shows one level and keeps what is deeper. */
const deeper = { 'x-kubernetes-preserve-unknown-fields': true } as const
export const filterSchema = object(
  {
    exact: map(string(), { description: 'Each attribute is exactly this.' }),
    prefix: map(string(), { description: 'Each attribute begins with this.' }),
    suffix: map(string(), { description: 'Each attribute ends with this.' }),
    all: list(object({}, deeper), { description: 'All of these filters match.' }),
    any: list(object({}, deeper), { description: 'One of these filters matches.' }),
    not: object({}, { ...deeper, description: 'This filter does not match.' }),
    cesql: string({ description: 'An expression in CloudEvents SQL that is true.' }),
  },
  deeper,
) as Schema<SubscriptionsApiFilter>

export const attributeName = /^[a-z][a-z0-9]*$/
const nameHelp =
  'Attribute name must start with a letter and can only contain lowercase alphanumeric'

/** Throws when one is no filter by its types, or has a field that is no dialect: below the first level no schema looks. */
function refuseUndecodable(filters: readonly unknown[], depth = 0): void {
  if (depth > maxDepth) return
  for (const filter of filters) {
    if (!isFields(filter)) throw undecodable(filter, 'SubscriptionsAPIFilter', 'an object')
    refuseUnknown(filter, dialects)
    for (const dialect of ['exact', 'prefix', 'suffix'] as const) {
      const texts = filter[dialect] ?? {}
      if (!isFields(texts)) throw undecodable(texts, dialect, 'a map of strings')
      const odd = Object.values(texts).find((text) => typeof text !== 'string')
      if (odd !== undefined) throw undecodable(odd, dialect, 'a map of strings')
    }
    for (const dialect of ['all', 'any'] as const) {
      const list = filter[dialect] ?? []
      if (!Array.isArray(list)) throw undecodable(list, dialect, 'a list of filters')
      refuseUndecodable(list, depth + 1)
    }
    const { not, cesql } = filter
    if (not !== undefined && not !== null) refuseUndecodable([not], depth + 1)
    if (cesql !== undefined && cesql !== null && typeof cesql !== 'string')
      throw undecodable(cesql, 'cesql', 'a string')
  }
}

const undecodable = (found: unknown, field: string, expected: string): StatusError =>
  cannotDecode(`${JSON.stringify(found)} in filter field ${field}, which takes ${expected}`)

/** Deeper ones are a mistake or an attack. */
const maxDepth = 32

export function* validateFilters(
  filters: readonly SubscriptionsApiFilter[],
  depth = 0,
): Generator<FieldError> {
  if (depth === 0) refuseUndecodable(filters)
  for (const [i, filter] of filters.entries()) yield* via(`[${i}]`, validateFilter(filter, depth))
}

function* validateFilter(filter: SubscriptionsApiFilter, depth: number): Generator<FieldError> {
  if (depth > maxDepth) {
    yield genericError(`filters are nested deeper than ${maxDepth} levels`, '')
    return
  }
  const used = dialects.filter((dialect) => isSaid(filter[dialect]))
  if (used.length > 1)
    yield genericError('multiple dialects found, filters can have only one dialect set', '')
  for (const dialect of ['exact', 'prefix', 'suffix'] as const)
    yield* via(dialect, validateAttributes(filter[dialect] ?? {}))
  for (const dialect of ['all', 'any'] as const)
    yield* via(dialect, validateFilters(filter[dialect] ?? [], depth + 1))
  if (filter.not) yield* via('not', validateFilter(filter.not, depth + 1))
  if (filter.cesql) yield* validateCesql(filter.cesql)
}

const isSaid = (value: unknown): boolean =>
  value !== undefined &&
  value !== '' &&
  !(typeof value === 'object' && value !== null && Object.keys(value).length === 0)

function* validateAttributes(attributes: Readonly<Record<string, string>>): Generator<FieldError> {
  for (const name of Object.keys(attributes))
    if (!attributeName.test(name)) yield invalidKeyName(name, '', nameHelp)
}

function* validateCesql(expression: string): Generator<FieldError> {
  try {
    compileCesql(expression)
  } catch (error) {
    if (!(error instanceof CesqlSyntaxError)) throw error
    yield invalidValue(expression, 'cesql', error.message)
  }
}

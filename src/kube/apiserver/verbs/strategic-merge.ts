/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are merged by key,
 * which are sets, and that carries directives (`$patch`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`,
 * `$retainKeys`). Follows the behaviour of apimachinery's `util/strategicpatch`.
 */
import type { Schema } from '../../api/schema.ts'
import { StatusError } from '../../api/status-error.ts'
import { resolve } from '../../api/structural.ts'
import { fromEntries } from './merge-patch.ts'
import { equal, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'

const directive = '$patch'
const retainKeys = '$retainKeys'
const deleteFrom = '$deleteFromPrimitiveList/'
const elementOrder = '$setElementOrder/'

/** `target` with `patch` applied; neither is changed. Throws StatusError for a patch that makes no sense. */
export function strategicMerge(schema: Schema, target: Fields, patch: Fields): Fields {
  return mergeMap(schema, target, patch)
}

function mergeMap(schema: Schema | undefined, target: Fields, patch: Fields): Fields {
  switch (patch[directive]) {
    case undefined:
    case 'merge':
      break
    case 'replace':
      return withoutDirectives(
        fromEntries(Object.entries(patch).filter(([key]) => key !== directive)),
      )
    case 'delete':
      return {}
    default:
      throw internal(`unknown patch type: ${printed(patch[directive])} in map: ${goMap(patch)}`)
  }
  const merged = new Map(Object.entries(retained(target, patch)))

  for (const [key, value] of Object.entries(patch)) {
    if (key === directive || key === retainKeys || key.startsWith(elementOrder)) continue
    if (key.startsWith(deleteFrom)) {
      const field = key.slice(deleteFrom.length)
      const list = merged.get(field)
      if (!Array.isArray(value)) throw internal(`${key} must be a list`)
      if (Array.isArray(list))
        merged.set(
          field,
          list.filter((item) => !value.some((gone) => equal(gone, item))),
        )
      continue
    }
    if (value === null || value === undefined) {
      merged.delete(key)
      continue
    }
    const field = fieldSchema(schema, key)
    const old = merged.get(key)
    if (isRecord(value)) {
      const replaces = strategy(field, 'replace') || !isRecord(old)
      const next = replaces ? mergeMap(field, {}, value) : mergeMap(field, old, value)
      if (value[directive] === 'delete') merged.delete(key)
      else merged.set(key, next)
    } else if (Array.isArray(value)) {
      merged.set(key, mergeList(field, Array.isArray(old) ? old : [], value))
    } else merged.set(key, value)
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(elementOrder)) continue
    const field = key.slice(elementOrder.length)
    const list = merged.get(field)
    if (!Array.isArray(order)) throw internal(`${key} must be a list`)
    if (Array.isArray(list))
      merged.set(field, reorder(list, order, mergeKey(fieldSchema(schema, field)), target[field]))
  }
  return fromEntries(merged)
}

/** `target` without what `$retainKeys` does not name. */
function retained(target: Fields, patch: Fields): Fields {
  const keep = patch[retainKeys]
  if (keep === undefined) return target
  if (!Array.isArray(keep)) throw internal('$retainKeys must be a list')
  for (const key of Object.keys(patch)) {
    const name = key.startsWith('$') ? key.slice(key.indexOf('/') + 1) : key
    if (key !== retainKeys && key !== directive && !keep.includes(name))
      throw internal('list of values for $retainKeys must contain all the keys in the patch')
  }
  return fromEntries(Object.entries(target).filter(([key]) => keep.includes(key)))
}

function mergeList(
  schema: Schema | undefined,
  target: readonly unknown[],
  patch: readonly unknown[],
): readonly unknown[] {
  if (!strategy(schema, 'merge')) return patch.map(withoutDirectives)
  const key = mergeKey(schema)
  if (key === undefined) return union(target, patch)

  const items = schema && resolve(schema).items
  const rest = patch.filter(
    (item) => !(isRecord(item) && item[directive] === 'replace' && isBare(item)),
  )
  if (rest.length < patch.length) return rest.map(withoutDirectives)

  const merged = [...target]
  for (const item of patch) {
    if (!isRecord(item))
      throw internal(`expected a map in a list merged by ${key}, got ${printed(item)}`)
    const identity = item[key]
    if (identity === undefined)
      throw internal(`map: ${goMap(item)} does not contain declared merge key: ${key}`)
    const at = merged.findIndex((each) => isRecord(each) && equal(each[key], identity))
    if (item[directive] === 'delete') {
      if (at >= 0) merged.splice(at, 1)
      continue
    }
    const old = at >= 0 ? merged[at] : undefined
    const next = mergeMap(items, isRecord(old) ? old : {}, item)
    if (at >= 0) merged[at] = next
    else merged.push(next)
  }
  return merged
}

/** `{"$patch": "replace"}` alone: the list becomes the patch's other items. */
const isBare = (item: Fields): boolean => Object.keys(item).length === 1

const union = (target: readonly unknown[], patch: readonly unknown[]): readonly unknown[] => [
  ...target,
  ...patch.filter((item) => !target.some((each) => equal(each, item))),
]

/**
 * The listed items in the order of `order`; items only the server knows keep their place behind the item that was
 * before them.
 */
function reorder(
  list: readonly unknown[],
  order: readonly unknown[],
  key: string | undefined,
  before: unknown,
): readonly unknown[] {
  const identityOf = (item: unknown): unknown =>
    key !== undefined && isRecord(item) ? item[key] : item
  const wanted = order.map(identityOf)
  const place = (item: unknown): number => wanted.findIndex((each) => equal(each, identityOf(item)))
  const listed = list.filter((item) => place(item) >= 0).toSorted((a, b) => place(a) - place(b))
  const unlisted = list.filter((item) => place(item) < 0)
  if (unlisted.length === 0) return listed
  const original = Array.isArray(before) ? before : []
  const rank = (item: unknown): number =>
    original.findIndex((each) => equal(identityOf(each), identityOf(item)))

  // A merge of two sorted sequences: a server-only item goes before the first listed item that stood after it.
  const result: unknown[] = []
  const waiting = [...unlisted]
  for (const item of listed) {
    const at = rank(item)
    while (waiting.length > 0 && at >= 0 && rank(waiting[0]) >= 0 && rank(waiting[0]) < at)
      result.push(waiting.shift())
    result.push(item)
  }
  return [...result, ...waiting]
}

/** A patch may put new maps and lists anywhere: whatever is stored of it must not carry directives. */
function withoutDirectives<T>(value: T): T
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives)
  if (!isRecord(value)) return value
  return fromEntries(
    Object.entries(value)
      .filter(
        ([key, field]) =>
          field !== null &&
          key !== directive &&
          key !== retainKeys &&
          !key.startsWith(deleteFrom) &&
          !key.startsWith(elementOrder),
      )
      .map(([key, field]) => [key, withoutDirectives(field)] as const),
  )
}

function fieldSchema(schema: Schema | undefined, key: string): Schema | undefined {
  if (!schema) return undefined
  const { properties, additionalProperties } = resolve(schema)
  if (properties && Object.hasOwn(properties, key)) return properties[key]
  return typeof additionalProperties === 'object' ? additionalProperties : undefined
}

const strategy = (schema: Schema | undefined, name: string): boolean =>
  schema?.['x-kubernetes-patch-strategy']?.split(',').includes(name) ?? false

const mergeKey = (schema: Schema | undefined): string | undefined =>
  schema?.['x-kubernetes-patch-merge-key']

const internal = (message: string): StatusError => new StatusError('InternalError', message)

const printed = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '')

const goMap = (fields: Fields): string =>
  `map[${Object.entries(fields)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}:${printed(value)}`)
    .join(' ')}]`

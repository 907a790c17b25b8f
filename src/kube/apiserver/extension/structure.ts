/**
 * Pruning and defaulting by the schema of a custom kind (apiextensions `structural/pruning`, `structural/defaulting`).
 * Differs from `api/structural.ts` in its nulls: one stays where it is allowed, goes where a default takes its place,
 * and is otherwise left for validation to complain of. Copy on write: what needs no change is the same reference.
 */
import { MAX_DEPTH, isObject, nodeOf } from '../../api/schema-node.ts'
import type { Schema } from '../../api/schema.ts'

type Fields = Readonly<Record<string, unknown>>
type Change = (node: Schema, fields: Fields) => Fields

const kept = new Set(['apiVersion', 'kind', 'metadata'])

/** `object` without what its schema does not know; apiVersion, kind and metadata always stay. */
export const pruned = <T>(schema: Schema, object: T): T =>
  rewritten(schema, object, (node, fields) => {
    const isKnown = (name: string) =>
      node['x-kubernetes-preserve-unknown-fields'] === true ||
      nextOf(node, name) !== undefined ||
      (node === schema && kept.has(name))
    const names = Object.keys(fields)
    if (names.every(isKnown)) return fields
    return Object.fromEntries(names.filter(isKnown).map((name) => [name, fields[name]]))
  })

/** `object` with the defaults of declared fields that are absent. Defaults create no parents. */
export const defaulted = <T>(schema: Schema, object: T): T =>
  rewritten(schema, object, (node, fields) => {
    let answer: Record<string, unknown> | undefined
    for (const [name, property] of defaultsOf(node)) {
      const value = fields[name]
      if (value !== undefined && (value !== null || property.nullable)) continue
      answer ??= { ...fields }
      answer[name] = property.default
    }
    return answer ?? fields
  })

const defaults = new WeakMap<Schema, readonly (readonly [string, Schema])[]>()

function defaultsOf(node: Schema): readonly (readonly [string, Schema])[] {
  const known = defaults.get(node)
  if (known) return known
  const found = Object.entries(node.properties ?? {}).filter(
    ([, property]) => property.default !== undefined,
  )
  defaults.set(node, found)
  return found
}

function nextOf(node: Schema, name: string): Schema | true | undefined {
  if (node.properties && Object.hasOwn(node.properties, name)) return node.properties[name]
  if (typeof node.additionalProperties === 'object') return node.additionalProperties
  return node.additionalProperties === true ? true : undefined
}

function rewritten<T>(schema: Schema, object: T, change: Change): T {
  return walk(schema, object, 0) as T

  function walk(at: Schema, here: unknown, depth: number): unknown {
    if (depth > MAX_DEPTH || typeof here !== 'object' || here === null) return here
    if (Array.isArray(here)) {
      const { items } = at
      if (!items) return here
      let copy: unknown[] | undefined
      for (const [i, item] of here.entries()) {
        const next = walk(items, item, depth + 1)
        if (next !== item) (copy ??= [...here])[i] = next
      }
      return copy ?? here
    }
    if (!isObject(here)) return here
    const node = at === schema ? at : nodeOf(at)
    const changed = change(node, here)
    let copy: Record<string, unknown> | undefined
    for (const name of Object.keys(changed)) {
      const next = nextOf(node, name)
      if (next === undefined || next === true) continue
      const walked = walk(next, changed[name], depth + 1)
      if (walked !== changed[name]) (copy ??= { ...changed })[name] = walked
    }
    return copy ?? changed
  }
}

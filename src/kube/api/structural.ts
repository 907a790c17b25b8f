/**
 * What the API server does with any object by its schema alone: find unknown fields, prune them, fill in
 * defaults, drop nulls. Everything is copy on write: an object that needs no change
 * comes back as the same reference. Types and value ranges are checked in `type-errors.ts`.
 */
import { resolve } from './builtin.ts'
import type { Kind } from './kind.ts'
import {
  fieldPath,
  fieldSchema,
  isObject,
  MAX_DEPTH,
  nodeOf,
  withTypeAndMetadata,
  type Fields,
} from './schema-node.ts'
import type { Schema } from './schema.ts'

export { resolve } from './builtin.ts'
export { decodeProblem, typeErrors } from './type-errors.ts'

const whole = new WeakMap<Schema, Schema>()
/**
 * The schema of the whole object of a kind, in its storage version or the served version that is named:
 * apiVersion, kind and metadata are added where the kind's own schema does not speak of them.
 */
export function wholeSchema(
  kind: Kind & {
    readonly schema: Schema
    readonly versions?: readonly { readonly version: string; readonly schema: Schema }[]
  },
  version: string = kind.version,
): Schema {
  const served = kind.versions?.find((each) => each.version === version)
  const schema = version === kind.version || !served ? kind.schema : served.schema
  const known = whole.get(schema)
  if (known) return known
  const answer = withTypeAndMetadata(resolve(schema))
  whole.set(schema, answer)
  return answer
}

/** Paths of the fields that the schema does not know, as Kubernetes writes them: `spec.containers[0].stdinn`. */
export function unknownFields(schema: Schema, value: unknown): string[] {
  const found: string[] = []
  walk(schema, value, '', 0)
  return found

  function walk(at: Schema, here: unknown, path: string, depth: number): void {
    if (depth > MAX_DEPTH) return
    if (Array.isArray(here)) {
      const { items } = nodeOf(at)
      if (items)
        for (const [i, item] of here.entries()) walk(items, item, `${path}[${i}]`, depth + 1)
    } else if (isObject(here)) {
      const node = nodeOf(at)
      for (const name of Object.keys(here)) {
        const next = fieldSchema(node, name)
        if (next === undefined) found.push(fieldPath(path, name))
        else if (next !== true) walk(next, here[name], fieldPath(path, name), depth + 1)
      }
    }
  }
}

/** `value` without the fields that the schema does not know. */
export function prune<T>(schema: Schema, value: T): T {
  return rewrite(schema, value, 0, (node, fields) => {
    const isKnown = (name: string) => fieldSchema(node, name) !== undefined
    if (Object.keys(fields).every(isKnown)) return fields
    return Object.fromEntries(Object.entries(fields).filter(([name]) => isKnown(name)))
  })
}

/**
 * `value` with the schema's defaults where a declared field is absent, and without the nulls that stand for
 * "absent" (a null stays where the schema says `nullable` or does not look). Defaults do not create parents.
 */
export function applyDefaults<T>(schema: Schema, value: T): T {
  return rewrite(schema, value, 0, (node, fields) => {
    let answer: Record<string, unknown> | undefined
    for (const name of Object.keys(fields)) {
      if (fields[name] !== null) continue
      const next = fieldSchema(node, name)
      if (next === undefined || next === true || nodeOf(next).nullable) continue
      if (acceptsAnything(nodeOf(next))) continue
      answer ??= { ...fields }
      delete answer[name]
    }
    for (const [name, fallback] of defaultsOf(node)) {
      if (Object.hasOwn(answer ?? fields, name)) continue
      answer ??= { ...fields }
      answer[name] = fallback
    }
    return answer ?? fields
  })
}

const defaults = new WeakMap<Schema, readonly (readonly [string, unknown])[]>()

/** The declared fields that have a default: few, of many; found once. */
export function defaultsOf(node: Schema): readonly (readonly [string, unknown])[] {
  const known = defaults.get(node)
  if (known) return known
  const found = Object.entries(node.properties ?? {})
    .map(([name, property]) => [name, nodeOf(property).default] as const)
    .filter(([, fallback]) => fallback !== undefined)
  defaults.set(node, found)
  return found
}

export const acceptsAnything = (node: Schema): boolean =>
  node.type === undefined && node['x-kubernetes-preserve-unknown-fields'] === true

/** Rebuilds `value` from the root to the leaves with `change` on each object that the schema describes. */
function rewrite<T>(
  schema: Schema,
  value: T,
  depth: number,
  change: (node: Schema, fields: Fields) => Fields,
): T {
  return walk(schema, value, depth) as T

  function walk(at: Schema, here: unknown, level: number): unknown {
    if (level > MAX_DEPTH) return here
    if (Array.isArray(here)) {
      const { items } = nodeOf(at)
      if (!items) return here
      let copy: unknown[] | undefined
      for (const [i, item] of here.entries()) {
        const next = walk(items, item, level + 1)
        if (next !== item) (copy ??= [...here])[i] = next
      }
      return copy ?? here
    }
    if (!isObject(here)) return here
    const node = nodeOf(at)
    const changed = change(node, here)
    let copy: Record<string, unknown> | undefined
    for (const name of Object.keys(changed)) {
      const field = changed[name]
      if (typeof field !== 'object' || field === null) continue
      const next = fieldSchema(node, name)
      if (next === undefined || next === true) continue
      const walked = walk(next, field, level + 1)
      if (walked !== field) (copy ??= { ...changed })[name] = walked
    }
    return copy ?? changed
  }
}

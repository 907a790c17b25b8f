/**
 * Whether a value may be stored as it came, found out in one walk. Nearly every write may: what the controllers send, and
 * what came from the server before. Only when it may not, the walks of `structural.ts` and `type-errors.ts` say what is
 * unknown, what is wrong, and fill in what is missing.
 */
import { referencedName } from './builtin.ts'
import { fieldSchema, isObject, MAX_DEPTH, nodeOf } from './schema-node.ts'
import type { Schema } from './schema.ts'
import { acceptsAnything, defaultsOf } from './structural.ts'
import { hasValueProblem, repeated, typeProblem } from './type-errors.ts'

/** True when `unknownFields`, `decodeProblem` and `typeErrors` have nothing to say, and `prune` and `applyDefaults` nothing to do. */
export const conforms = (schema: Schema, value: unknown): boolean => fits(schema, value, 0, false)

function fits(at: Schema, here: unknown, depth: number, typesOnly: boolean): boolean {
  if (depth > MAX_DEPTH) return false
  const node = nodeOf(at)
  if (typeProblem(node, here) !== undefined) return false
  const onlyTypes = typesOnly || referencedName(at) !== undefined
  if (!onlyTypes && hasValueProblem(node, here)) return false
  if (Array.isArray(here)) {
    if (!onlyTypes && repeated(node, here).next().done !== true) return false
    const { items } = node
    if (items) for (const item of here) if (!fits(items, item, depth + 1, onlyTypes)) return false
    return true
  }
  if (!isObject(here)) return true
  if (!onlyTypes && node.required)
    for (const name of node.required)
      if (here[name] === undefined || here[name] === null) return false
  for (const name of Object.keys(here)) {
    const next = fieldSchema(node, name)
    if (next === true) continue
    if (next === undefined) return false
    const field = here[name]
    if (field === null ? !keepsNull(next) : !fits(next, field, depth + 1, onlyTypes)) return false
  }
  for (const [name] of defaultsOf(node)) if (!Object.hasOwn(here, name)) return false
  return true
}

function keepsNull(schema: Schema): boolean {
  const node = nodeOf(schema)
  return node.nullable === true || acceptsAnything(node)
}

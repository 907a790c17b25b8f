/**
 * The schemas of Kubernetes' own types (`kube-types.json`, generated from its published OpenAPI: fields, types,
 * list and patch strategies) and how a `$ref` into them is followed.
 */
import types from './kube-types.json' with { type: 'json' }
import type { Schema } from './schema.ts'

const prefix = '#/definitions/'
const definitions: ReadonlyMap<string, Schema> = new Map(
  // The one place where a JSON file becomes schemas; builtin.test.ts walks all of it.
  Object.entries(types as unknown as Record<string, Schema>),
)
const resolved = new WeakMap<Schema, Schema>()

/** The schema of a built-in type by its OpenAPI name (`io.k8s.api.core.v1.Container`). */
export const definition = (name: string): Schema | undefined => definitions.get(name)

/** The OpenAPI name that a schema refers to; undefined when it is not a reference. */
export const referencedName = (schema: Schema): string | undefined =>
  schema.$ref?.startsWith(prefix) ? schema.$ref.slice(prefix.length) : undefined

/**
 * The schema itself, or what its `$ref` points at, with what stands beside the reference (description, default,
 * list type…) laid over it. Answers the same object each time, so that callers can cache by it. A reference to
 * nothing is a mistake in a kind's file and throws.
 */
export function resolve(schema: Schema): Schema {
  const name = referencedName(schema)
  if (name === undefined) return schema
  const known = resolved.get(schema)
  if (known) return known
  const target = definitions.get(name)
  if (target === undefined) throw new Error(`no built-in type is called ${name}`)
  const { $ref: _, ...beside } = schema
  const answer = Object.keys(beside).length === 0 ? target : { ...target, ...beside }
  resolved.set(schema, answer)
  return answer
}

/**
 * The schemas of Kubernetes' own types (`kube-types.json`, generated from its published OpenAPI: fields, types,
 * list and patch strategies) and how a `$ref` into them is followed.
 */
import types from './kube-types.json' with { type: 'json' }
import type { Schema } from './schema.ts'

const prefix = '#/definitions/'
// The one place where a JSON file becomes schemas; builtin.test.ts walks all of it.
const generated = types as unknown as Readonly<Record<string, Schema>>

const machinery = 'io.k8s.apimachinery.pkg.'
const extensions = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.'
const anyObject: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const anyValue: Schema = { 'x-kubernetes-preserve-unknown-fields': true }

/** Types whose JSON is more than their generated schema says. */
const corrected: Readonly<Record<string, Schema>> = {
  [`${machinery}api.resource.Quantity`]: { type: 'string', format: 'quantity' },
  [`${machinery}util.intstr.IntOrString`]: {
    'x-kubernetes-int-or-string': true,
    format: 'int-or-string',
  },
  [`${machinery}runtime.RawExtension`]: anyObject,
  [`${machinery}apis.meta.v1.FieldsV1`]: anyObject,
  [`${machinery}apis.meta.v1.Patch`]: anyValue,
  [`${extensions}CustomResourceSubresourceStatus`]: anyObject,
  [`${extensions}JSONSchemaProps`]: anyObject,
  [`${extensions}JSON`]: anyValue,
  ...Object.fromEntries(
    ['io.k8s.api.core.v1.ContainerPort', 'io.k8s.api.core.v1.ServicePort'].map((name) => [
      name,
      withDefaultProtocol(generated[name] ?? {}),
    ]),
  ),
}

/** The protocol is a key of the list of ports, so that its default belongs to the schema. */
function withDefaultProtocol(schema: Schema): Schema {
  const protocol = { ...schema.properties?.['protocol'], default: 'TCP' }
  return { ...schema, properties: { ...schema.properties, protocol } }
}

const definitions: ReadonlyMap<string, Schema> = new Map(
  Object.entries({ ...generated, ...corrected }),
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

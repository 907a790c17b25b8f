/** One place in a schema: references followed, embedded resources completed, the schema of a field looked up. */
import { resolve } from './builtin.ts'
import { builtin, string, type Schema } from './schema.ts'

/** Deeper than any real object; what lies below is refused by `typeErrors` and not looked at elsewhere. */
export const MAX_DEPTH = 100

export type Fields = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const typeMeta = {
  apiVersion: string({
    description:
      'The version of the schema in which the object is written: `group/version`, or `v1` for the core group.',
  }),
  kind: string({ description: 'The kind of the object, in CamelCase.' }),
}
const objectMeta = builtin('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', {
  description: 'Name, namespace, labels, annotations and what the server keeps about the object.',
})

/** The schema of an object with apiVersion, kind and metadata as every object has them. */
export const withTypeAndMetadata = (schema: Schema): Schema => ({
  ...schema,
  type: 'object',
  properties: { ...typeMeta, metadata: objectMeta, ...without(schema.properties) },
})

const without = ({ apiVersion: _a, kind: _k, metadata: _m, ...rest }: Schema['properties'] = {}) =>
  rest

const embedded = new WeakMap<Schema, Schema>()

/** `resolve`, and for `x-kubernetes-embedded-resource` the type and metadata that every object has. */
export function nodeOf(schema: Schema): Schema {
  const node = resolve(schema)
  if (!node['x-kubernetes-embedded-resource']) return node
  const known = embedded.get(node)
  if (known) return known
  const answer = withTypeAndMetadata(node)
  embedded.set(node, answer)
  return answer
}

/** The schema of field `name`, `true` when anything may stand there, `undefined` when the field is unknown. */
export function fieldSchema(node: Schema, name: string): Schema | true | undefined {
  if (node.properties && Object.hasOwn(node.properties, name)) return node.properties[name]
  if (typeof node.additionalProperties === 'object') return node.additionalProperties
  if (node.additionalProperties === true || node['x-kubernetes-preserve-unknown-fields'])
    return true
  return undefined
}

export const fieldPath = (path: string, name: string): string => (path ? `${path}.${name}` : name)

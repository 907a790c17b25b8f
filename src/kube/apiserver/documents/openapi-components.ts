/** Schemas as OpenAPI components: a kind, its list, and every built-in type that they reach. */
import { definition, referencedName } from '../../api/builtin.ts'
import type { Schema } from '../../api/schema.ts'
import { describeField, describeType } from './openapi-descriptions.ts'
import { operationsOf } from './openapi-subresources.ts'
import type { ServedKind } from '../served.ts'

export type Json = Readonly<Record<string, unknown>>

const listMeta = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta'
const scale = 'io.k8s.api.autoscaling.v1.Scale'
const patch = 'io.k8s.apimachinery.pkg.apis.meta.v1.Patch'
const deleteOptions = 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions'
const status = 'io.k8s.apimachinery.pkg.apis.meta.v1.Status'

/** All components of the kinds, by name. `refPrefix` is how references to them begin. */
export function componentsFor(kinds: readonly ServedKind[], refPrefix: string): Json {
  const components = new Map<string, unknown>()
  const wanted = [patch, deleteOptions, status]
  const convert = (schema: Schema, owner: string) => converted(schema, owner, refPrefix, wanted)
  for (const served of kinds) {
    const { definition: kind, version, name, schema } = served
    const gvk = (suffix = '') => [{ group: kind.group, kind: kind.kind + suffix, version }]
    components.set(name, {
      description: kind.description,
      ...convert(schema, name),
      'x-kubernetes-group-version-kind': gvk(),
    })
    for (const each of served.subresources ?? [])
      for (const { component } of operationsOf(each, { ...kind, version, name }))
        if (component !== undefined && component !== name) wanted.push(component)
    if (served.createOnly) continue
    components.set(`${name}List`, {
      description: `A list of ${kind.kind} objects.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        items: { type: 'array', items: { $ref: refPrefix + name } },
        metadata: { $ref: refPrefix + listMeta },
      },
      'x-kubernetes-group-version-kind': gvk('List'),
    })
    wanted.push(listMeta)
    if (kind.scale) wanted.push(scale)
  }
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    if (components.has(next)) continue
    const target = definition(next)
    components.set(
      next,
      target ? { description: describeType(next), ...convert(target, next) } : {},
    )
  }
  return Object.fromEntries([...components].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** A schema in OpenAPI's form; names of the types it refers to are added to `wanted`. */
function converted(schema: Schema, owner: string, refPrefix: string, wanted: string[]): Json {
  const name = referencedName(schema)
  if (name !== undefined) {
    wanted.push(name)
    const { $ref: _, ...beside } = schema
    const reference = { $ref: refPrefix + name }
    return Object.keys(beside).length === 0 ? reference : { ...beside, allOf: [reference] }
  }
  if (schema.format === 'quantity') return { oneOf: [{ type: 'string' }, { type: 'number' }] }
  if (schema['x-kubernetes-int-or-string'] && schema.type === undefined)
    return { ...schema, format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] }
  const { properties, items, additionalProperties, ...rest } = schema
  const inner = (each: Schema) => converted(each, '', refPrefix, wanted)
  return {
    ...rest,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([field, each]) => [
          field,
          described(inner(each), describeField(owner, field)),
        ]),
      ),
    }),
    ...(items && { items: inner(items) }),
    ...(additionalProperties !== undefined && {
      additionalProperties:
        typeof additionalProperties === 'object'
          ? inner(additionalProperties)
          : additionalProperties,
    }),
  }
}

/** Beside a bare `$ref` nothing else counts, so a described reference is wrapped. */
function described(schema: Json, text: string | undefined): Json {
  if (text === undefined || schema['description'] !== undefined) return schema
  if (schema['$ref'] === undefined) return { description: text, ...schema }
  return { description: text, allOf: [schema] }
}

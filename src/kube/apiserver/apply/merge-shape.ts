/**
 * How a place in an object is merged, read from its schema: as one value, field by field, item by item with keys, or as a
 * set (`x-kubernetes-list-type`, `-list-map-keys`, `-map-type`). What a schema leaves open is judged by the value: maps
 * field by field, lists whole, as structured-merge-diff deduces it.
 */
import { fieldSchema, nodeOf } from '../../api/schema-node.ts'
import type { Schema } from '../../api/schema.ts'
import { isRecord } from '../values.ts'
import type { Fields } from '../values.ts'

export type SettledShape =
  | { readonly as: 'value' }
  | { readonly as: 'fields'; readonly node: Schema }
  | { readonly as: 'items'; readonly keys: readonly Key[]; readonly item: Schema | undefined }
  | { readonly as: 'set' }
export type Shape = SettledShape | { readonly as: 'open' }

interface Key {
  readonly name: string
  /** Of an item that does not say. */
  readonly default: unknown
}

const whole: SettledShape = { as: 'value' }
const set: Shape = { as: 'set' }
const open: Shape = { as: 'open' }
const known = new WeakMap<Schema, Shape>()

/** The shape that a schema gives a place; without a schema it is open. */
export function shapeOf(schema: Schema | undefined): Shape {
  if (schema === undefined) return open
  const node = nodeOf(schema)
  let shape = known.get(node)
  if (shape === undefined) known.set(node, (shape = read(node)))
  return shape
}

function read(node: Schema): Shape {
  if (node['x-kubernetes-int-or-string']) return whole
  if (node.type === 'array') {
    switch (node['x-kubernetes-list-type']) {
      case 'set':
        return set
      case 'map': {
        const keys = node['x-kubernetes-list-map-keys'] ?? []
        if (keys.length === 0) return whole
        const item = node.items && nodeOf(node.items)
        return {
          as: 'items',
          keys: keys.toSorted().map((name) => {
            const key = item?.properties?.[name]
            return { name, default: key && nodeOf(key).default }
          }),
          item: node.items,
        }
      }
      default:
        return whole
    }
  }
  if (node.type === 'object' || node.properties || node.additionalProperties !== undefined) {
    if (node['x-kubernetes-map-type'] === 'atomic') return whole
    return { as: 'fields', node }
  }
  return node.type === undefined ? open : whole
}

/** The shape of a place that holds `value`: what is open is settled. */
export function settledShape(schema: Schema | undefined, value: unknown): SettledShape {
  const shape = shapeOf(schema)
  if (shape.as !== 'open') return shape
  return isRecord(value) ? openFields : whole
}

const openFields: SettledShape = {
  as: 'fields',
  node: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
}

/** The schema of a field below a place that is merged by fields; undefined = anything. */
export function below(node: Schema, name: string): Schema | undefined {
  const field = fieldSchema(node, name)
  return field === true ? undefined : field
}

/** True when the schema names the field, so that the place above it is a struct there and not a map. */
export const isNamed = (node: Schema, name: string): boolean =>
  node.properties !== undefined && Object.hasOwn(node.properties, name)

/** The path element of an item of a keyed list: `k:{"name":"c"}`. Keys that are missing are left out. */
export function keyElement(keys: readonly Key[], item: unknown): string {
  const fields: Fields = isRecord(item) ? item : {}
  if (keys.length === 1 && keys[0]) {
    const [{ name, default: fallback }] = [keys[0]]
    const value = fields[name] ?? fallback
    return value === undefined ? 'k:{}' : `k:{${JSON.stringify(name)}:${JSON.stringify(value)}}`
  }
  const named: Record<string, unknown> = {}
  for (const { name, default: fallback } of keys) {
    const value = fields[name] ?? fallback
    if (value !== undefined) named[name] = value
  }
  return `k:${JSON.stringify(named)}`
}

/** The path element of an item of a set: `v:"x"`. */
export const valueElement = (item: unknown): string => `v:${JSON.stringify(item)}`

/**
 * What is wrong with a configuration as an applied one: fields that the schema does not declare, values of another type,
 * items without their keys, items that stand twice. In the words of structured-merge-diff's validation.
 */
import { nodeOf } from '../../api/schema-node.ts'
import type { Schema } from '../../api/schema.ts'
import { isRecord } from '../values.ts'
import type { Fields } from '../values.ts'
import { placeText } from './field-set.ts'
import { below, isNamed, keyElement, settledShape, valueElement } from './merge-shape.ts'

const problemLimit = 20
const depthLimit = 100

/** Each problem as `.spec.bogus: field not declared in schema`; at most twenty. */
export function configProblems(schema: Schema, config: unknown): string[] {
  const problems: string[] = []
  walk(schema, config, '', 0)
  return problems

  function add(path: string, text: string): void {
    if (problems.length < problemLimit) problems.push(`${path}: ${text}`)
  }

  function walk(at: Schema | undefined, value: unknown, path: string, depth: number): void {
    if (value === null || value === undefined || problems.length >= problemLimit) return
    if (depth > depthLimit) return add(path, 'nested too deeply')
    const shape = settledShape(at, value)
    if (shape.as === 'value') return whole(at, value, path, depth)
    if (shape.as === 'fields') {
      if (!isRecord(value)) return add(path, `expected map, got ${described(value)}`)
      return fields(shape.node, value, path, depth)
    }
    if (!Array.isArray(value)) return add(path, `expected list, got ${described(value)}`)
    const seen = new Set<string>()
    for (const [i, item] of value.entries()) {
      if (shape.as === 'items') {
        if (!isRecord(item)) {
          add(path, `element ${i}: associative list with keys may not have non-map elements`)
          continue
        }
        const missing = shape.keys.find(
          (key) => (item[key.name] ?? undefined) === undefined && key.default === undefined,
        )
        if (missing) {
          const which =
            shape.keys.length === 1
              ? `associative list with keys has an element that omits key field ${JSON.stringify(missing.name)} (and doesn't have default value)`
              : 'associative list with keys has an element that omits all key fields'
          add(path, `element ${i}: ${which}`)
          continue
        }
      }
      const element = shape.as === 'set' ? valueElement(item) : keyElement(shape.keys, item)
      if (seen.has(element)) add(path, `duplicate entries for key ${placeText([element])}`)
      seen.add(element)
      if (shape.as === 'items') walk(shape.item, item, path + placeText([element]), depth + 1)
    }
  }

  function fields(node: Schema, value: Fields, path: string, depth: number): void {
    const open =
      node.additionalProperties !== undefined || node['x-kubernetes-preserve-unknown-fields']
    for (const [name, field] of Object.entries(value)) {
      if (!open && !isNamed(node, name)) add(`${path}.${name}`, 'field not declared in schema')
      else walk(below(node, name), field, `${path}.${name}`, depth + 1)
    }
  }

  /** A scalar, or a map or list that is merged as one. */
  function whole(at: Schema | undefined, value: unknown, path: string, depth: number): void {
    if (at === undefined) return
    const node = nodeOf(at)
    if (node['x-kubernetes-int-or-string'] || node.format === 'quantity') return
    switch (node.type) {
      case 'array':
        if (!Array.isArray(value)) add(path, `expected list, got ${described(value)}`)
        else if (node.items)
          for (const [i, item] of value.entries())
            walk(node.items, item, `${path}[${i}]`, depth + 1)
        return
      case 'object':
        if (!isRecord(value)) add(path, `expected map, got ${described(value)}`)
        else fields(node, value, path, depth)
        return
      case 'string':
        if (typeof value !== 'string') add(path, `expected string, got ${described(value)}`)
        return
      case 'integer':
      case 'number':
        if (typeof value !== 'number')
          add(path, `expected numeric (int or float), got ${described(value)}`)
        return
      case 'boolean':
        if (typeof value !== 'boolean') add(path, `expected boolean, got ${described(value)}`)
        return
      case undefined:
        return
    }
  }
}

/** A value as Go prints the library's own type. */
function described(value: unknown): string {
  const text = JSON.stringify(value) ?? ''
  return `&value.valueUnstructured{Value:${text.length > 100 ? `${text.slice(0, 100)}...` : text}}`
}

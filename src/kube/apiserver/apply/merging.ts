/**
 * An applied configuration laid over the live object, and the removal of what its manager no longer speaks of. Maps are
 * merged field by field, keyed lists item by item, sets by value; everything else is taken whole. Follows
 * structured-merge-diff's `merge` and `prune`. Values are never changed in place.
 */
import type { Schema } from '../../api/schema.ts'
import { fromEntries } from '../verbs/merge-patch.ts'
import { isRecord } from '../values.ts'
import { isMember } from './field-set.ts'
import type { FieldTree } from './field-set.ts'
import { below, isNamed, keyElement, settledShape, valueElement } from './merge-shape.ts'
import { keyed } from './ownership.ts'

/** `live` with `config` over it. */
export function merged(schema: Schema | undefined, live: unknown, config: unknown): unknown {
  if (live === undefined || live === null || config === undefined || config === null)
    return config === undefined ? live : config
  const shape = settledShape(schema, config)
  switch (shape.as) {
    case 'fields': {
      if (!isRecord(live) || !isRecord(config)) return config
      const fields = new Map(Object.entries(live))
      for (const [name, value] of Object.entries(config))
        fields.set(name, merged(below(shape.node, name), fields.get(name), value))
      return fromEntries(fields)
    }
    case 'items': {
      if (!Array.isArray(live) || !Array.isArray(config)) return config
      const element = (item: unknown): string => keyElement(shape.keys, item)
      const old = keyed(shape.keys, live)
      return interleaved(live, config, element, (item, key) =>
        merged(shape.item, old.get(key), item),
      )
    }
    case 'set':
      if (!Array.isArray(live) || !Array.isArray(config)) return config
      return interleaved(live, config, valueElement, (item) => item)
    case 'value':
      return config
  }
}

/**
 * The items of both lists: those of `config` in its order, those that only `live` has where they stood among the ones
 * that both have.
 */
function interleaved(
  live: readonly unknown[],
  config: readonly unknown[],
  elementOf: (item: unknown) => string,
  both: (item: unknown, element: string) => unknown,
): readonly unknown[] {
  const applied = new Set(config.map(elementOf))
  const present = new Set(live.map(elementOf))
  const items: unknown[] = []
  let i = 0
  let j = 0
  while (i < live.length || j < config.length) {
    const old = live[i]
    if (i < live.length && !applied.has(elementOf(old))) {
      items.push(old)
      i++
      continue
    }
    if (j >= config.length) {
      i++ // Has gone in, in the order of the configuration.
      continue
    }
    const element = elementOf(config[j])
    items.push(present.has(element) ? both(config[j], element) : config[j])
    if (present.has(element)) i++
    j++
  }
  return items
}

/**
 * `value` without the places that are in `last` and in nobody's set now (`kept`). A struct goes as a whole when all
 * that was known of it goes; an item goes with everything in it.
 */
export function pruned(
  schema: Schema | undefined,
  value: unknown,
  last: FieldTree,
  kept: FieldTree | undefined,
): unknown {
  const shape = settledShape(schema, value)
  switch (shape.as) {
    case 'fields': {
      if (!isRecord(value)) return value
      let copy: Map<string, unknown> | undefined
      for (const name of Object.keys(value)) {
        const element = `f:${name}`
        const before = last[element]
        if (before === undefined) continue
        const now = kept?.[element]
        const named = isNamed(shape.node, name)
        copy ??= new Map(Object.entries(value))
        if (owns(before, named) && !owns(now, named)) copy.delete(name)
        else {
          const next = pruned(below(shape.node, name), value[name], before, now)
          if (isEmptied(value[name], next) && !owns(now, false)) copy.delete(name)
          else copy.set(name, next)
        }
      }
      return copy ? fromEntries(copy) : value
    }
    case 'items':
    case 'set': {
      if (!Array.isArray(value)) return value
      const elementOf =
        shape.as === 'set' ? valueElement : (item: unknown) => keyElement(shape.keys, item)
      const items: unknown[] = []
      for (const item of value) {
        const element = elementOf(item)
        const before = last[element]
        if (before === undefined) {
          items.push(item)
          continue
        }
        const now = kept?.[element]
        if (owns(before, false) && !owns(now, false)) continue
        items.push(shape.as === 'set' ? item : pruned(shape.item, item, before, now))
      }
      return items
    }
    case 'value':
      return value
  }
}

/** Structs are held by whoever holds something in them. */
const owns = (node: FieldTree | undefined, struct: boolean): boolean =>
  node !== undefined && (struct || isMember(node))

const isEmptied = (before: unknown, after: unknown): boolean =>
  before !== after && sizeOf(before) > 0 && sizeOf(after) === 0

const sizeOf = (value: unknown): number =>
  Array.isArray(value) ? value.length : isRecord(value) ? Object.keys(value).length : 1

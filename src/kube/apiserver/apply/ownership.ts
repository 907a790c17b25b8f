/**
 * Objects seen as sets of fields: all fields of a value, and what changed between two values. Both read the schema, so
 * that an item of a keyed list is the same item wherever it stands. Follows structured-merge-diff's `typed`: `fieldsOf`
 * is what an applied configuration owns, `wholeTree` and `changes` are what someone owns who wrote an object.
 */
import type { Schema } from '../../api/schema.ts'
import { equal, isRecord } from '../values.ts'
import { leaf, treeOf } from './field-set.ts'
import type { FieldTree } from './field-set.ts'
import { below, isNamed, keyElement, settledShape, valueElement } from './merge-shape.ts'

/** Objects nest less deeply: the decoder refuses what goes beyond. */
const depthLimit = 120

/** The fields that a configuration speaks of: its leaves, its items, the keys of its maps. */
export const fieldsIn = (schema: Schema | undefined, value: unknown): FieldTree =>
  treeAt(schema, value, false, false, 0) ?? leaf

/** Every place of a value, those above others too. */
export const wholeTree = (schema: Schema | undefined, value: unknown): FieldTree =>
  treeAt(schema, value, true, true, 0) ?? leaf

/** `all`: each place above others is a member. `member`: this one is. */
function treeAt(
  schema: Schema | undefined,
  value: unknown,
  all: boolean,
  member: boolean,
  depth: number,
): FieldTree | undefined {
  if (typeof value !== 'object' || value === null || depth > depthLimit) return leaf
  const shape = settledShape(schema, value)
  switch (shape.as) {
    case 'value':
      return leaf
    case 'fields': {
      if (!isRecord(value)) return leaf
      const children = new Map<string, FieldTree>()
      for (const name in value) {
        const field = value[name]
        if (field === undefined) continue
        const named = isNamed(shape.node, name)
        const child = treeAt(
          below(shape.node, name),
          field,
          all,
          all || !named || isEmptyPart(field),
          depth + 1,
        )
        if (child) children.set(`f:${name}`, child)
      }
      return treeOf(children, member)
    }
    case 'items': {
      if (!Array.isArray(value)) return leaf
      const children = new Map<string, FieldTree>()
      for (const item of value) {
        const element = keyElement(shape.keys, item)
        if (!children.has(element))
          children.set(element, treeAt(shape.item, item, all, true, depth + 1) ?? leaf)
      }
      return treeOf(children, member)
    }
    case 'set': {
      if (!Array.isArray(value)) return leaf
      return treeOf(new Map(value.map((item) => [valueElement(item), leaf])), member)
    }
  }
}

/** Nothing below can say that someone wants it: the place itself does. */
const isEmptyPart = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : isEmptyMap(value)

const isEmptyMap = (value: unknown): boolean => isRecord(value) && Object.keys(value).length === 0

/** What a write did: places that are new or other than before, and places that are gone. Absent = none. */
export interface Changes {
  readonly changed: FieldTree
  readonly removed: FieldTree
}

const nothing: Part = {}

/** The difference of two values of one schema. Parts that are the same reference cost nothing. */
export function changes(schema: Schema | undefined, before: unknown, after: unknown): Changes {
  const { changed = leaf, removed = leaf } = compare(schema, before, after, 0)
  return { changed, removed }
}

interface Part {
  readonly changed?: FieldTree
  readonly removed?: FieldTree
}

function compare(schema: Schema | undefined, before: unknown, after: unknown, depth: number): Part {
  if (before === after) return nothing
  if (before === undefined) return { changed: wholeTree(schema, after) }
  if (after === undefined) return { removed: wholeTree(schema, before) }
  if (depth > depthLimit) return { changed: leaf }
  const shape = settledShape(schema, after)
  switch (shape.as) {
    case 'fields':
      if (!isRecord(before) || !isRecord(after) || (isEmptyMap(before) && isEmptyMap(after))) break
      return compareChildren(
        namesOf(before, after),
        (name) => `f:${name}`,
        (name) =>
          compare(
            below(shape.node, name),
            ownField(before, name),
            ownField(after, name),
            depth + 1,
          ),
      )
    case 'items': {
      if (!Array.isArray(before) || !Array.isArray(after)) break
      const [old, next] = [keyed(shape.keys, before), keyed(shape.keys, after)]
      return compareChildren(
        new Set([...old.keys(), ...next.keys()]),
        (element) => element,
        (element) => compare(shape.item, old.get(element), next.get(element), depth + 1),
      )
    }
    case 'set': {
      if (!Array.isArray(before) || !Array.isArray(after)) break
      const old = new Set(before.map(valueElement))
      const next = new Set(after.map(valueElement))
      return compareChildren(
        new Set([...old, ...next]),
        (element) => element,
        (element) => {
          if (!old.has(element)) return { changed: leaf }
          return next.has(element) ? nothing : { removed: leaf }
        },
      )
    }
    case 'value':
      break
  }
  return equal(before, after) ? nothing : { changed: leaf }
}

function namesOf(before: object, after: object): Iterable<string> {
  const names = Object.keys(after)
  for (const name of Object.keys(before)) if (!Object.hasOwn(after, name)) names.push(name)
  return names
}

const ownField = (fields: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

/** The items by their keys; of several with the same keys the first. */
export function keyed(
  keys: Parameters<typeof keyElement>[0],
  items: readonly unknown[],
): Map<string, unknown> {
  const found = new Map<string, unknown>()
  for (const item of items) {
    const element = keyElement(keys, item)
    if (!found.has(element)) found.set(element, item)
  }
  return found
}

function compareChildren(
  names: Iterable<string>,
  elementOf: (name: string) => string,
  part: (name: string) => Part,
): Part {
  let changed: Map<string, FieldTree> | undefined
  let removed: Map<string, FieldTree> | undefined
  for (const name of names) {
    const of = part(name)
    if (of.changed) (changed ??= new Map()).set(elementOf(name), of.changed)
    if (of.removed) (removed ??= new Map()).set(elementOf(name), of.removed)
  }
  const [a, b] = [changed && treeOf(changed, false), removed && treeOf(removed, false)]
  return a || b ? { ...(a && { changed: a }), ...(b && { removed: b }) } : nothing
}

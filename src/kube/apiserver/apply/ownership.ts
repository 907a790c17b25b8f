/**
 * Objects seen as sets of fields: all fields of a value, and what changed between two values. Both read the schema, so
 * that an item of a keyed list is the same item wherever it stands. Follows structured-merge-diff's `typed`: `fieldsOf`
 * is what an applied configuration owns, `wholeTree` and `changes` are what someone owns who wrote an object.
 */
import type { Schema } from '../../api/schema.ts'
import { equal, fieldsOf, isRecord, without } from '../values.ts'
import { isEmpty, leaf, treeOf } from './field-set.ts'
import type { FieldTree } from './field-set.ts'
import { below, isNamed, keyElement, settledShape, valueElement } from './merge-shape.ts'

/** Objects nest less deeply: the decoder refuses what goes beyond. */
const depthLimit = 120

/** The fields that a configuration speaks of: its leaves, its items, the keys of its maps. */
export const fieldsIn = (schema: Schema | undefined, value: unknown): FieldTree =>
  treeAt(schema, value, spoken, false, 0) ?? leaf

/** Every place of a value, those above others too. */
export const wholeTree = (schema: Schema | undefined, value: unknown): FieldTree =>
  treeAt(schema, value, everyPlace, true, 0) ?? leaf

/** What who makes an object owns: the status, and everything else. */
export interface CreatedTrees {
  readonly rest: FieldTree
  readonly status: FieldTree
}

/**
 * Every place that who makes an object owns. Of a built-in one nobody owns the structs that Go's types have from the
 * start: `.spec`, `.spec.template`; a custom object has nothing, and who makes it owns these places too.
 */
export function createdTrees(schema: Schema, object: object, builtin: boolean): CreatedTrees {
  const { apiVersion: _, kind: _k, metadata, status, ...rest } = { ...fieldsOf(object) }
  const rule = builtin ? structsAside : metadataAside
  const { metadata: own, ...others } = {
    ...rest,
    metadata: without(fieldsOf(metadata), ...nobodys),
  }
  const tree = treeAt(
    schema,
    sizeOf(own) > 0 ? { ...others, metadata: own } : others,
    rule,
    false,
    0,
  )
  const statusTree = status === undefined ? leaf : treeAt(schema, { status }, rule, false, 0)
  return { rest: tree ?? leaf, status: statusTree ?? leaf }
}

const sizeOf = (value: object): number => Object.keys(value).length

/** Of the metadata: what the server says, and what names the object. */
export const nobodys = [
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'generation',
  'managedFields',
  'resourceVersion',
] as const

/** Which places above others are members. */
interface Rule {
  readonly all: boolean
  /** Fields, from the root on, whose places are no members. */
  readonly aside: ReadonlySet<string>
}

const none: ReadonlySet<string> = new Set()
const spoken: Rule = { all: false, aside: none }
const everyPlace: Rule = { all: true, aside: none }
const metadataAside: Rule = { all: true, aside: new Set(['metadata']) }
/** Structs that are part of their parents, not pointers. */
const structs = 'metadata spec status template strategy updateStrategy jobTemplate'
const structsAside: Rule = { all: true, aside: new Set(structs.split(' ')) }

/** The set of the places of `value`. `member`: its own place is one. */
function treeAt(
  schema: Schema | undefined,
  value: unknown,
  rule: Rule,
  member: boolean,
  depth: number,
): FieldTree | undefined {
  if (typeof value !== 'object' || value === null || depth > depthLimit) return leaf
  const shape = settledShape(schema, value)
  const elements: string[] = []
  const trees: FieldTree[] = []
  switch (shape.as) {
    case 'value':
      return leaf
    case 'fields': {
      if (!isRecord(value)) return leaf
      for (const name in value) {
        const field = value[name]
        if (field === undefined) continue
        const next = below(shape.node, name)
        let child: FieldTree | undefined = leaf
        if (typeof field === 'object' && field !== null) {
          const isAside = rule.aside.has(name)
          const inner = isAside || rule.aside.size === 0 ? rule : everyPlace
          const own = rule.all ? !isAside : !isNamed(shape.node, name)
          child = treeAt(next, field, inner, own || isEmptyPart(field), depth + 1)
        }
        if (!child) continue
        elements.push(`f:${name}`)
        trees.push(child)
      }
      break
    }
    case 'items': {
      if (!Array.isArray(value)) return leaf
      for (const item of value) {
        const element = keyElement(shape.keys, item)
        if (elements.includes(element)) continue
        elements.push(element)
        const inner = rule.aside.size === 0 ? rule : everyPlace
        trees.push(treeAt(shape.item, item, inner, true, depth + 1) ?? leaf)
      }
      break
    }
    case 'set': {
      if (!Array.isArray(value)) return leaf
      for (const item of value) {
        const element = valueElement(item)
        if (elements.includes(element)) continue
        elements.push(element)
        trees.push(leaf)
      }
    }
  }
  return shared(elements, trees, member)
}

interface Known {
  readonly trees: readonly FieldTree[]
  readonly tree: FieldTree
}

/**
 * Trees by the elements of their children. Objects that one program makes look alike, so that most trees have been
 * built before: they cost a look-up and no memory.
 */
const known = new Map<string, Known[]>()
const likeLimit = 16
/** Elements in all trees that are kept, each of about a hundred bytes; then they are forgotten and come anew. */
const knownLimit = 100_000
let knownSize = 0

function shared(
  elements: readonly string[],
  trees: readonly FieldTree[],
  member: boolean,
): FieldTree | undefined {
  if (elements.length === 0) return member ? leaf : undefined
  const key = `${member ? '.' : ''}${elements.join('\0')}`
  const alike = known.get(key) ?? []
  for (const each of alike) if (each.trees.every((tree, i) => tree === trees[i])) return each.tree
  const tree = treeOf(new Map(elements.map((element, i) => [element, trees[i] ?? leaf])), member)
  if (!tree || elements.length > 1_000) return tree
  knownSize += elements.length + 1
  if (knownSize > knownLimit) {
    known.clear()
    knownSize = 0
  }
  if (alike.length >= likeLimit) alike.shift()
  alike.push({ trees, tree })
  known.set(key, alike)
  return tree
}

/** Nothing below can say that someone wants it: the place itself does. */
const isEmptyPart = (value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : isEmptyMap(value)

const isEmptyMap = (value: unknown): boolean => isRecord(value) && Object.keys(value).length === 0

/**
 * A set as the schema of now has it: what was merged part by part and is one value today is owned as one. Definitions of
 * custom kinds change while their objects live on.
 */
export function reconciled(schema: Schema | undefined, value: unknown, set: FieldTree): FieldTree {
  const walk = (at: Schema | undefined, here: unknown, node: FieldTree): FieldTree => {
    if (isEmpty(node) || here === undefined || here === null) return node
    const shape = settledShape(at, here)
    if (shape.as === 'value') return leaf
    if (shape.as === 'set') return node
    let copy: Map<string, FieldTree> | undefined
    const items = shape.as === 'items' && Array.isArray(here) ? keyed(shape.keys, here) : undefined
    for (const element of Object.keys(node)) {
      const child = node[element]
      if (!child || element === '.') continue
      const name = element.slice(2)
      const next =
        shape.as === 'fields'
          ? walk(below(shape.node, name), ownField(fieldsOf(here), name), child)
          : walk(shape.item, items?.get(element), child)
      if (next === child) continue
      copy ??= new Map(Object.entries(node).filter(([each]) => each !== '.'))
      copy.set(element, next)
    }
    return copy ? (treeOf(copy, node['.'] !== undefined) ?? leaf) : node
  }
  return walk(schema, value, set)
}

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

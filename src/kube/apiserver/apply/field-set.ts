/**
 * Sets of fields, in the form in which Kubernetes stores them (`fieldsV1`): a tree whose keys are path elements, `f:name`
 * for a field, `k:{"name":"c"}` for an item of a keyed list, `v:"x"` for an item of a set. `.` says that the place itself
 * is a member, and so does a node without children. Follows the behaviour of structured-merge-diff's `fieldpath`; the
 * operations work on the stored form, so nothing is decoded on the way. Trees are values: never changed, parts shared.
 */

export interface FieldTree {
  readonly [element: string]: FieldTree
}

/** A member without children; at the root the empty set. */
export const leaf: FieldTree = Object.freeze({})

const self = '.'

/** True for the empty set. */
export const isEmpty = (set: FieldTree): boolean => {
  for (const _ in set) return false
  return true
}

/** True when the place of this node, which must not be the root, is a member itself. */
export const isMember = (node: FieldTree): boolean => node[self] !== undefined || isEmpty(node)

/** A tree of `children` in the order of their elements; undefined when it holds nothing. */
export function treeOf(children: Map<string, FieldTree>, member: boolean): FieldTree | undefined {
  if (children.size === 0) return member ? leaf : undefined
  const tree: Record<string, FieldTree> = {}
  if (member) tree[self] = leaf
  const elements = [...children.keys()]
  if (elements.length > 1) elements.sort()
  for (const element of elements) {
    const child = children.get(element)
    if (child) setOwn(tree, element, child)
  }
  return tree
}

/** As an assignment; elements carry a prefix, so `__proto__` can only come from a hostile tree. */
function setOwn(tree: Record<string, FieldTree>, element: string, child: FieldTree): void {
  if (element === '__proto__') return
  tree[element] = child
}

const childrenOf = (node: FieldTree | undefined): string[] =>
  node === undefined ? [] : Object.keys(node).filter((element) => element !== self)

/** What is in `a` or in `b`. */
export const union = (a: FieldTree, b: FieldTree): FieldTree =>
  isEmpty(a) ? b : isEmpty(b) ? a : unite(a, b, false)

function unite(a: FieldTree, b: FieldTree, member: boolean): FieldTree {
  const children = new Map<string, FieldTree>()
  for (const element of childrenOf(a)) {
    const [left, right] = [a[element], b[element]]
    if (left === undefined) continue
    children.set(
      element,
      right === undefined || right === left
        ? left
        : unite(left, right, isMember(left) || isMember(right)),
    )
  }
  for (const element of childrenOf(b)) {
    const right = b[element]
    if (right !== undefined && !children.has(element)) children.set(element, right)
  }
  return treeOf(children, member) ?? leaf
}

/** What is in `a` and not in `b`: place by place, so the children of a place that goes stay. */
export function difference(a: FieldTree, b: FieldTree): FieldTree {
  if (isEmpty(a) || isEmpty(b)) return a
  return subtract(a, b, false) ?? leaf
}

function subtract(a: FieldTree, b: FieldTree, member: boolean): FieldTree | undefined {
  const children = new Map<string, FieldTree>()
  for (const element of childrenOf(a)) {
    const [left, right] = [a[element], b[element]]
    if (left === undefined) continue
    const kept =
      right === undefined ? left : subtract(left, right, isMember(left) && !isMember(right))
    if (kept) children.set(element, kept)
  }
  return treeOf(children, member)
}

/** What is in both. */
export function intersection(a: FieldTree, b: FieldTree): FieldTree {
  if (isEmpty(a) || isEmpty(b)) return leaf
  return intersect(a, b, false) ?? leaf
}

function intersect(a: FieldTree, b: FieldTree, member: boolean): FieldTree | undefined {
  const children = new Map<string, FieldTree>()
  for (const element of childrenOf(a)) {
    const [left, right] = [a[element], b[element]]
    if (left === undefined || right === undefined) continue
    const both = intersect(left, right, isMember(left) && isMember(right))
    if (both) children.set(element, both)
  }
  return treeOf(children, member)
}

/** `a` without the places in `b` and all that lies below them. */
export function withoutBelow(a: FieldTree, b: FieldTree): FieldTree {
  return cut(a, b, false) ?? leaf
}

function cut(a: FieldTree, b: FieldTree, member: boolean): FieldTree | undefined {
  const children = new Map<string, FieldTree>()
  for (const element of childrenOf(a)) {
    const [left, right] = [a[element], b[element]]
    if (left === undefined || (right !== undefined && isMember(right))) continue
    const kept = right === undefined ? left : cut(left, right, isMember(left))
    if (kept) children.set(element, kept)
  }
  return treeOf(children, member)
}

/** The set of one place. Without elements it is the empty set. */
export function placeOf(elements: readonly string[]): FieldTree {
  return elements.reduceRight<FieldTree>((below, element) => ({ [element]: below }), leaf)
}

/** The members, each as its elements, in the order of the tree. */
export function* places(
  set: FieldTree,
  above: readonly string[] = [],
): Generator<readonly string[]> {
  if (above.length > 0 && isMember(set)) yield above
  for (const element of childrenOf(set)) {
    const child = set[element]
    if (child) yield* places(child, [...above, element])
  }
}

/** `.spec.containers[name="c"].image`: a place as messages write it. */
export function placeText(elements: readonly string[]): string {
  let text = ''
  for (const element of elements) {
    const rest = element.slice(2)
    if (element.startsWith('f:')) text += `.${rest}`
    else if (element.startsWith('v:')) text += `[=${rest}]`
    else if (element.startsWith('i:')) text += `[${rest}]`
    else text += `[${keysText(rest)}]`
  }
  return text
}

function keysText(json: string): string {
  const keys: unknown = JSON.parse(json)
  if (typeof keys !== 'object' || keys === null) return json
  return Object.entries(keys)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')
}

/** Deeper than any place of an object. */
const depthLimit = 110

/** A `fieldsV1` that a client sent, checked; undefined when it is none. */
export function readTree(value: unknown, depth = 0): FieldTree | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > depthLimit)
    return undefined
  const children = new Map<string, FieldTree>()
  let member = false
  for (const [element, below] of Object.entries(value)) {
    const child = readTree(below, depth + 1)
    if (!child) return undefined
    if (element === self) member = true
    else if (!isElement(element)) return undefined
    else children.set(element, child)
  }
  return treeOf(children, member) ?? leaf
}

function isElement(element: string): boolean {
  switch (element.slice(0, 2)) {
    case 'f:':
      return true
    case 'i:':
      return /^\d{1,15}$/.test(element.slice(2))
    case 'k:':
      return parses(element.slice(2), true)
    case 'v:':
      return parses(element.slice(2), false)
    default:
      return false
  }
}

function parses(json: string, object: boolean): boolean {
  try {
    const value: unknown = JSON.parse(json)
    return !object || (typeof value === 'object' && value !== null && !Array.isArray(value))
  } catch {
    return false
  }
}

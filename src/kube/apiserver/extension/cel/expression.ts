/** What a parsed expression speaks of: walks the library's syntax tree, macros included. */
import { isRecord } from '../../values.ts'

interface Node {
  op: string
  args: unknown
  readonly meta?: Readonly<Record<string, unknown>>
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'op' in value && 'args' in value && 'pos' in value

/** Everything directly below a node. */
function* childrenOf(node: Node): Generator<Node> {
  const { alternate, macro } = node.meta ?? {}
  if (isNode(alternate)) return yield alternate
  yield* nodesIn(isRecord(macro) ? Object.values(macro) : node.args, 0, node)
}

function* nodesIn(value: unknown, depth: number, parent: Node): Generator<Node> {
  if (value === parent || depth > 4) return
  if (isNode(value)) yield value
  else if (Array.isArray(value)) for (const each of value) yield* nodesIn(each, depth + 1, parent)
  else if (
    typeof value === 'object' &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype
  )
    for (const each of Object.values(value)) yield* nodesIn(each, depth + 1, parent)
}

/** The names that are used, and the fields that are read from them. */
export function referencesIn(ast: unknown): {
  readonly names: ReadonlySet<string>
  readonly paths: readonly (readonly string[])[]
} {
  const names = new Set<string>()
  const paths: (readonly string[])[] = []
  const seen = new Set<Node>()
  const walk = (node: Node): void => {
    if (seen.has(node)) return
    seen.add(node)
    const path = pathOf(node)
    if (path) paths.push(path)
    if (node.op === 'id' && typeof node.args === 'string') names.add(node.args)
    for (const child of childrenOf(node)) walk(child)
  }
  if (isNode(ast)) walk(ast)
  return { names, paths }
}

/** `self.a.b` as `['self', 'a', 'b']`; undefined for anything but names after a name. */
function pathOf(node: Node): readonly string[] | undefined {
  if (node.op === 'id') return typeof node.args === 'string' ? [node.args] : undefined
  if (node.op !== '.' && node.op !== '.?') return undefined
  if (!Array.isArray(node.args)) return undefined
  const [left, name]: readonly unknown[] = node.args
  if (!isNode(left)) return undefined
  const before = pathOf(left)
  const field = isNode(name) ? name.args : name
  return before && typeof field === 'string' ? [...before, field] : undefined
}

/** Makes `matches` the function that searches in linear time. Before the expression is checked. */
export function renameMatches(ast: unknown): void {
  const seen = new Set<Node>()
  const walk = (node: Node): void => {
    if (seen.has(node)) return
    seen.add(node)
    if ((node.op === 'rcall' || node.op === 'call') && Array.isArray(node.args)) {
      const args: unknown[] = node.args
      if (args[0] === 'matches') args[0] = 'ebbMatches'
    }
    for (const child of childrenOf(node)) walk(child)
  }
  if (isNode(ast)) walk(ast)
}

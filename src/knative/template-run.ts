/**
 * Executes parsed templates: fields, truth, printing and functions as Go's text/template has them. The parser is in
 * template.ts.
 */

/** A Go struct: naming a field it does not have is an error. */
export interface TemplateStruct {
  readonly [field: string]: TemplateValue
}

/** A Map stands for a Go map, where an absent key is no error; a function for a method without arguments. */
export type TemplateValue =
  | string
  | number
  | boolean
  | undefined
  | ReadonlyMap<string, TemplateValue>
  | readonly TemplateValue[]
  | TemplateStruct
  | ((...args: readonly TemplateValue[]) => TemplateValue)

/** What a parsed template consists of. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | undefined }
  | {
      readonly kind: 'field'
      readonly base: Expression | 'dot' | 'root'
      readonly path: readonly string[]
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'method'; readonly of: Expression; readonly args: readonly Expression[] }

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly of: Expression; readonly line: number }
  | {
      readonly kind: 'if' | 'with'
      readonly of: Expression
      readonly line: number
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[]
    }

interface Run {
  readonly name: string
  readonly root: TemplateStruct
}

/** The text that the nodes come to. */
export function run(nodes: readonly Node[], dot: TemplateValue, world: Run): string {
  let out = ''
  for (const node of nodes) {
    if (node.kind === 'text') {
      out += node.text
      continue
    }
    const value = within(world, node.line, () => evaluate(node.of, dot, world))
    if (node.kind === 'print') out += print(value)
    else if (truth(value)) out += run(node.body, node.kind === 'with' ? value : dot, world)
    else out += run(node.otherwise, dot, world)
  }
  return out
}

function within<T>({ name }: Run, line: number, evaluate: () => T): T {
  try {
    return evaluate()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`template: ${name}:${line}: executing ${JSON.stringify(name)} ${why}`, {
      cause: error,
    })
  }
}

function evaluate(expression: Expression, dot: TemplateValue, world: Run): TemplateValue {
  switch (expression.kind) {
    case 'literal':
      return expression.value
    case 'field': {
      const { base, path } = expression
      let value: TemplateValue =
        base === 'dot' ? dot : base === 'root' ? world.root : evaluate(base, dot, world)
      for (const field of path) value = fieldOf(value, field)
      return typeof value === 'function' ? value() : value
    }
    case 'method': {
      const { of, args } = expression
      if (of.kind !== 'field') throw new Error('can’t give argument to non-function')
      const path = of.path.slice(0, -1)
      const holder = evaluate({ ...of, path }, dot, world)
      const method = fieldOf(holder, of.path.at(-1) ?? '')
      if (typeof method !== 'function')
        throw new Error(`at <.${of.path.join('.')}>: can't give argument to non-function`)
      return method(...args.map((arg) => evaluate(arg, dot, world)))
    }
    case 'call': {
      const call = functions[expression.name]
      if (!call) throw new Error(`function ${JSON.stringify(expression.name)} not defined`)
      return call(...expression.args.map((arg) => evaluate(arg, dot, world)))
    }
  }
}

function fieldOf(value: TemplateValue, field: string): TemplateValue {
  if (value instanceof Map) return value.get(field)
  if (typeof value === 'object' && Object.hasOwn(value, field))
    return (value as TemplateStruct)[field]
  if (value === undefined) throw new Error(`at <.${field}>: nil pointer evaluating .${field}`)
  throw new Error(`at <.${field}>: can't evaluate field ${field}`)
}

function truth(value: TemplateValue): boolean {
  if (value instanceof Map) return value.size > 0
  if (Array.isArray(value)) return value.length > 0
  return Boolean(value)
}

function print(value: TemplateValue): string {
  if (value === undefined) return '<no value>'
  if (Array.isArray(value)) return `[${value.map(print).join(' ')}]`
  if (value instanceof Map) {
    const entries = [...value].sort(([a], [b]) => (a < b ? -1 : 1))
    return `map[${entries.map(([key, item]) => `${key}:${print(item)}`).join(' ')}]`
  }
  return typeof value === 'object'
    ? `{${Object.values(value).map(print).join(' ')}}`
    : String(value)
}

type Compare = (a: TemplateValue, b: TemplateValue) => boolean
const comparable = (value: TemplateValue): string | number =>
  typeof value === 'number' ? value : print(value)
const comparing =
  (test: (a: string | number, b: string | number) => boolean): Compare =>
  (a, b) => {
    if (typeof a !== typeof b) throw new Error('incompatible types for comparison')
    return test(comparable(a), comparable(b))
  }
const equal = comparing((a, b) => a === b)

export const functions: Readonly<
  Record<string, (...args: readonly TemplateValue[]) => TemplateValue>
> = {
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => comparing((x, y) => x < y)(a, b),
  le: (a, b) => comparing((x, y) => x <= y)(a, b),
  gt: (a, b) => comparing((x, y) => x > y)(a, b),
  ge: (a, b) => comparing((x, y) => x >= y)(a, b),
  and: (...args) => args.find((arg) => !truth(arg)) ?? args.at(-1),
  or: (...args) => args.find((arg) => truth(arg)) ?? args.at(-1),
  not: (value) => !truth(value),
  len(value) {
    if (typeof value === 'string') return new TextEncoder().encode(value).length
    if (value instanceof Map) return value.size
    if (Array.isArray(value)) return value.length
    throw new Error('error calling len: wrong type')
  },
  index(value, ...keys) {
    let at = value
    for (const key of keys) {
      if (at instanceof Map) at = at.get(print(key)) ?? ''
      else if (Array.isArray(at) && typeof key === 'number') {
        if (key < 0 || key >= at.length)
          throw new Error(`error calling index: index out of range: ${key}`)
        at = at[key]
      } else throw new Error("error calling index: can't index item")
    }
    return at
  },
  js: (value) =>
    print(value).replace(/[\\'"<>&=\p{Cc}]/gu, (character) => {
      if (character === '\\' || character === "'" || character === '"') return `\\${character}`
      return `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
    }),
  html: (value) =>
    print(value).replace(
      /[<>&'"]/g,
      (character) =>
        ({ '<': '&lt;', '>': '&gt;', '&': '&amp;', "'": '&#39;', '"': '&#34;' })[character] ?? '',
    ),
  urlquery: (value) => encodeURIComponent(print(value)).replaceAll('%20', '+'),
  print: (...args) => args.map(print).join(''),
}

/**
 * The part of Go's text/template that Knative's settings need (domain-template, tag-template, container-name-template,
 * request-log-template): fields, `index`, comparisons, `if`/`with`, pipes and a few functions. No loops and no
 * variables, so a template ends and its output is bounded by its input.
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

export interface Template {
  readonly text: string
  /** Throws an Error in Go's words when the data has not what the template names. */
  execute(data: TemplateStruct): string
}

/** Parses once; throws an Error `template: <name>:<line>: …` when it is not a template. */
export function compileTemplate(name: string, text: string): Template {
  const nodes = new Parser(name, text).parse()
  return {
    text,
    execute: (data) => run(nodes, data, { name, root: data }),
  }
}

type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | undefined }
  | {
      readonly kind: 'field'
      readonly base: Expression | 'dot' | 'root'
      readonly path: readonly string[]
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'method'; readonly of: Expression; readonly args: readonly Expression[] }

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly of: Expression; readonly line: number }
  | {
      readonly kind: 'if' | 'with'
      readonly of: Expression
      readonly line: number
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[]
    }

interface Token {
  /** `chain` is a field written directly behind a parenthesis: `(index .A 0).B`. */
  readonly kind: 'word' | 'field' | 'chain' | 'string' | 'number' | 'char'
  readonly text: string
}

const maxDepth = 50

class Parser {
  readonly #name: string
  readonly #text: string
  #at = 0
  #line = 1
  #depth = 0

  constructor(name: string, text: string) {
    this.#name = name
    this.#text = text
  }

  parse(): readonly Node[] {
    const { nodes, end } = this.#nodes()
    if (end) this.#fail(`unexpected {{${end.word}}}`)
    return nodes
  }

  #fail(why: string): never {
    throw new Error(`template: ${this.#name}:${this.#line}: ${why}`)
  }

  /** Nodes up to the end of the text, or up to {{else …}} or {{end}}. */
  #nodes(): { nodes: Node[]; end?: { word: string; rest: Token[] } } {
    if (++this.#depth > maxDepth) this.#fail('nested too deeply')
    const nodes: Node[] = []
    let trimNext = false
    for (;;) {
      const open = this.#text.indexOf('{{', this.#at)
      let text = this.#text.slice(this.#at, open < 0 ? undefined : open)
      if (trimNext) text = text.trimStart()
      if (open < 0) {
        this.#at = this.#text.length
        if (text) nodes.push({ kind: 'text', text })
        this.#depth--
        return { nodes }
      }
      const action = this.#action(open)
      if (action.trimBefore) text = text.trimEnd()
      trimNext = action.trimAfter
      if (text) nodes.push({ kind: 'text', text })
      const [first, ...rest] = action.tokens
      if (!first) {
        if (!action.comment) this.#fail('missing value for command')
        continue
      }
      if (first.kind === 'word' && (first.text === 'end' || first.text === 'else')) {
        // What follows the word is trimmed by the caller's next text: put the mark back in front of it.
        if (trimNext) this.#skipSpace()
        this.#depth--
        return { nodes, end: { word: first.text, rest } }
      }
      if (first.kind === 'word' && (first.text === 'if' || first.text === 'with')) {
        if (trimNext) this.#skipSpace()
        trimNext = false
        nodes.push(this.#branch(first.text, rest))
        continue
      }
      nodes.push({ kind: 'print', of: this.#pipeline(action.tokens), line: this.#line })
    }
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) {
      if (this.#text[this.#at] === '\n') this.#line++
      this.#at++
    }
  }

  #branch(kind: 'if' | 'with', condition: Token[]): Node {
    const line = this.#line
    const of = this.#pipeline(condition)
    const body = this.#nodes()
    if (!body.end) this.#fail('unexpected EOF')
    if (body.end.word === 'end') return { kind, of, line, body: body.nodes, otherwise: [] }
    const [next, ...rest] = body.end.rest
    if (next) {
      if (next.kind !== 'word' || (next.text !== 'if' && next.text !== 'with'))
        this.#fail(`unexpected ${JSON.stringify(next.text)} in else`)
      if (++this.#depth > maxDepth) this.#fail('nested too deeply')
      const nested = this.#branch(next.text, rest)
      this.#depth--
      return { kind, of, line, body: body.nodes, otherwise: [nested] }
    }
    const otherwise = this.#nodes()
    if (otherwise.end?.word !== 'end') this.#fail('unexpected EOF')
    return { kind, of, line, body: body.nodes, otherwise: otherwise.nodes }
  }

  /** The tokens of the action that begins at `open`; leaves #at behind it. */
  #action(open: number): {
    tokens: Token[]
    trimBefore: boolean
    trimAfter: boolean
    comment: boolean
  } {
    this.#line += countLines(this.#text.slice(this.#at, open))
    let at = open + 2
    const trimBefore = /^-\s/.test(this.#text.slice(at, at + 2))
    if (trimBefore) at += 2
    const comment = /^\s*\/\*[^]*?\*\/\s*(-?)\}\}/.exec(this.#text.slice(at))
    if (comment) {
      this.#at = at + comment[0].length
      return { tokens: [], trimBefore, trimAfter: comment[1] === '-', comment: true }
    }
    const tokens: Token[] = []
    let spaced = true
    const lexer =
      /\s+-\}\}|\s+|\}\}|"(?:[^"\\\n]|\\.)*"|`[^`]*`|[+-]?\d[\d_]*(?:\.\d+)?|\$?(?:\.[A-Za-z_]\w*)+|[A-Za-z_]\w*|[.$()|]/y
    for (;;) {
      lexer.lastIndex = at
      const match = lexer.exec(this.#text)
      if (!match) {
        if (at >= this.#text.length) this.#fail('unclosed action')
        this.#fail(`unexpected ${JSON.stringify(this.#text[at])} in command`)
      }
      const [text] = match
      at = lexer.lastIndex
      if (text.endsWith('}}') && !/^["`]/.test(text)) {
        this.#at = at
        return { tokens, trimBefore, trimAfter: text !== '}}', comment: false }
      }
      const space = /^\s/.test(text)
      if (space) this.#line += countLines(text)
      else {
        const kind = kindOf(text)
        const chained = kind === 'field' && !spaced && tokens.at(-1)?.text === ')'
        tokens.push({ kind: chained ? 'chain' : kind, text })
      }
      spaced = space
    }
  }

  #pipeline(tokens: readonly Token[]): Expression {
    let value: Expression | undefined
    for (const command of splitPipes(tokens)) value = this.#command(command, value)
    return value ?? this.#fail('missing value for command')
  }

  /** A command with its arguments; `piped` becomes the last one. */
  #command(words: readonly Token[], piped: Expression | undefined): Expression {
    const [first] = words
    if (!first) return this.#fail('missing value for command')
    const isCall = first.kind === 'word' && !['true', 'false', 'nil'].includes(first.text)
    const [rest, operands] = this.#operands(isCall ? words.slice(1) : words)
    if (rest.length > 0) this.#fail(`unexpected ${JSON.stringify(rest[0]?.text)} in operand`)
    const args = piped ? [...operands, piped] : operands
    if (isCall) {
      if (!Object.hasOwn(functions, first.text))
        this.#fail(`function ${JSON.stringify(first.text)} not defined`)
      return { kind: 'call', name: first.text, args }
    }
    const [of, ...methodArgs] = args
    if (!of) return this.#fail('missing value for command')
    return methodArgs.length > 0 ? { kind: 'method', of, args: methodArgs } : of
  }

  #operands(tokens: readonly Token[]): [rest: readonly Token[], operands: Expression[]] {
    const operands: Expression[] = []
    let rest = tokens
    while (rest.length > 0) {
      const [token, ...after] = rest
      if (!token) break
      if (token.kind === 'char' && token.text === '(') {
        const close = closing(rest)
        if (close < 0) this.#fail('unclosed left paren')
        if (++this.#depth > maxDepth) this.#fail('nested too deeply')
        let of = this.#pipeline(rest.slice(1, close))
        this.#depth--
        rest = rest.slice(close + 1)
        const field = rest[0]
        if (field?.kind === 'chain') {
          of = { kind: 'field', base: of, path: field.text.slice(1).split('.') }
          rest = rest.slice(1)
        }
        operands.push(of)
        continue
      }
      const operand = this.#operand(token)
      if (!operand) break
      operands.push(operand)
      rest = after
    }
    return [rest, operands]
  }

  #operand({ kind, text }: Token): Expression | undefined {
    switch (kind) {
      case 'string':
        return { kind: 'literal', value: unquote(text) }
      case 'number':
        return { kind: 'literal', value: Number(text.replaceAll('_', '')) }
      case 'chain':
        return undefined
      case 'field':
        return {
          kind: 'field',
          base: text.startsWith('$') ? 'root' : 'dot',
          path: text.replace(/^\$?\./, '').split('.'),
        }
      case 'char':
        if (text === '.') return { kind: 'field', base: 'dot', path: [] }
        if (text === '$') return { kind: 'field', base: 'root', path: [] }
        return undefined
      case 'word':
        if (text === 'true' || text === 'false') return { kind: 'literal', value: text === 'true' }
        if (text === 'nil') return { kind: 'literal', value: undefined }
        if (Object.hasOwn(functions, text)) return { kind: 'call', name: text, args: [] }
        return this.#fail(`function ${JSON.stringify(text)} not defined`)
    }
  }
}

const countLines = (text: string): number => text.split('\n').length - 1

function kindOf(text: string): Token['kind'] {
  if (/^["`]/.test(text)) return 'string'
  if (/^[+-]?\d/.test(text)) return 'number'
  if (/^\$?\.[A-Za-z_]/.test(text)) return 'field'
  return /^[A-Za-z_]/.test(text) ? 'word' : 'char'
}

function unquote(text: string): string {
  if (text.startsWith('`')) return text.slice(1, -1)
  return text.slice(1, -1).replace(/\\(.)/g, (_whole, letter: string) => {
    return { n: '\n', t: '\t', r: '\r' }[letter] ?? letter
  })
}

function splitPipes(tokens: readonly Token[]): Token[][] {
  const commands: Token[][] = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.kind === 'char' && token.text === '(') depth++
    if (token.kind === 'char' && token.text === ')') depth--
    if (token.kind === 'char' && token.text === '|' && depth === 0) commands.push([])
    else commands.at(-1)?.push(token)
  }
  return commands
}

/** Index of the parenthesis that closes the one at 0, or -1. */
function closing(tokens: readonly Token[]): number {
  let depth = 0
  for (const [i, { kind, text }] of tokens.entries()) {
    if (kind !== 'char') continue
    if (text === '(') depth++
    if (text === ')' && --depth === 0) return i
  }
  return -1
}

interface Run {
  readonly name: string
  readonly root: TemplateStruct
}

function run(nodes: readonly Node[], dot: TemplateValue, world: Run): string {
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

const functions: Readonly<Record<string, (...args: readonly TemplateValue[]) => TemplateValue>> = {
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

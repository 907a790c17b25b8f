/**
 * The part of Go's text/template that Knative's settings need (domain-template, tag-template, container-name-template,
 * request-log-template): fields, `index`, comparisons, `if`/`with`, pipes and a few functions. No loops and no
 * variables, so a template ends and its output is bounded by its input.
 */

import { functions, run, type Expression, type Node, type TemplateStruct } from './template-run.ts'

export type { TemplateStruct, TemplateValue } from './template-run.ts'

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

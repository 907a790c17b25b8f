/**
 * CloudEvents SQL 1.0 as a tree: the words and the grammar of the specification, where AND, OR and XOR share one level
 * and bind to the right. Numbers take their sign along (`1-1` are two numbers, not a subtraction), as the published
 * lexer has it.
 */

/** The text is no expression; the message says where. */
export class CesqlSyntaxError extends Error {
  override readonly name = 'CesqlSyntaxError'
}

export type Value = string | number | boolean

export type BinaryOperator =
  | '*'
  | '/'
  | '%'
  | '+'
  | '-'
  | '='
  | '!='
  | '<'
  | '<='
  | '>'
  | '>='
  | 'AND'
  | 'OR'
  | 'XOR'

export type Expression =
  | { readonly kind: 'literal'; readonly value: Value }
  | { readonly kind: 'attribute'; readonly name: string }
  | { readonly kind: 'exists'; readonly name: string }
  | { readonly kind: 'not' | 'negate'; readonly operand: Expression }
  | {
      readonly kind: 'like'
      readonly negated: boolean
      readonly operand: Expression
      readonly pattern: string
    }
  | {
      readonly kind: 'in'
      readonly negated: boolean
      readonly operand: Expression
      readonly set: readonly Expression[]
    }
  | {
      readonly kind: 'binary'
      readonly operator: BinaryOperator
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }

const maxLength = 16_384
/** Parentheses, calls and operators may lie so deep in one another. */
const maxDepth = 200

type Token =
  | { readonly kind: 'word' | 'symbol' | 'end'; readonly text: string; readonly at: number }
  | { readonly kind: 'string' | 'pattern'; readonly text: string; readonly at: number }
  | { readonly kind: 'integer'; readonly text: string; readonly at: number }

const pieces =
  /[ \t\r\n]+|(?<integer>[+-]?\d+(?![a-zA-Z0-9]))|(?<word>[a-zA-Z0-9_]+)|(?<single>'(?:\\.|''|[^'\\])*')|(?<double>"(?:\\.|""|[^"\\])*")|(?<symbol><=|>=|<>|!=|[=<>*/%+\-(),])/sy

function tokens(text: string): readonly Token[] {
  if (text.length > maxLength)
    throw new CesqlSyntaxError(`${text.length} characters are too many: at most ${maxLength}`)
  const found: Token[] = []
  pieces.lastIndex = 0
  while (pieces.lastIndex < text.length) {
    const at = pieces.lastIndex
    const match = pieces.exec(text)
    if (!match) throw new CesqlSyntaxError(`unexpected ${JSON.stringify(text[at])} at ${at}`)
    const { integer, word, single, double, symbol } = match.groups ?? {}
    if (integer !== undefined) found.push({ kind: 'integer', text: integer, at })
    else if (word !== undefined) found.push({ kind: 'word', text: word, at })
    else if (symbol !== undefined) found.push({ kind: 'symbol', text: symbol, at })
    else if (single !== undefined)
      found.push({ kind: 'string', text: single.slice(1, -1).replaceAll("\\'", "'"), at })
    else if (double !== undefined)
      found.push({ kind: 'string', text: double.slice(1, -1).replaceAll('\\"', '"'), at })
  }
  return [...found, { kind: 'end', text: '', at: text.length }]
}

const keywords = new Set(['AND', 'OR', 'XOR', 'NOT', 'LIKE', 'EXISTS', 'IN', 'TRUE', 'FALSE'])

/** Throws CesqlSyntaxError. */
export function parse(text: string): Expression {
  const parser = new Parser(tokens(text))
  return parser.whole()
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(all: readonly Token[]) {
    this.#tokens = all
  }

  whole(): Expression {
    const expression = this.#logical()
    if (this.#peek.kind !== 'end') throw this.#unexpected('the end or an operator')
    return expression
  }

  get #peek(): Token {
    const token = this.#tokens[this.#next] ?? this.#tokens.at(-1)
    if (!token) throw new CesqlSyntaxError('nothing to read')
    return token
  }

  #unexpected(wanted: string): CesqlSyntaxError {
    const { kind, text, at } = this.#peek
    const found = kind === 'end' ? 'the end' : JSON.stringify(text)
    return new CesqlSyntaxError(`found ${found} at ${at}, expected ${wanted}`)
  }

  #keyword(...wanted: readonly string[]): string | undefined {
    const { kind, text } = this.#peek
    const upper = text.toUpperCase()
    if (kind !== 'word' || !wanted.includes(upper)) return undefined
    this.#next++
    return upper
  }

  #symbol(...wanted: readonly string[]): string | undefined {
    const { kind, text } = this.#peek
    if (kind !== 'symbol' || !wanted.includes(text)) return undefined
    this.#next++
    return text
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > maxDepth)
      throw new CesqlSyntaxError(`nested deeper than ${maxDepth} levels at ${this.#peek.at}`)
    const value = read()
    this.#depth--
    return value
  }

  #logical(): Expression {
    return this.#deeper(() => {
      const left = this.#comparison()
      const operator = this.#keyword('AND', 'OR', 'XOR')
      if (operator !== 'AND' && operator !== 'OR' && operator !== 'XOR') return left
      return { kind: 'binary', operator, left, right: this.#logical() }
    })
  }

  #comparison(): Expression {
    return this.#chain(() => this.#sum(), '=', '!=', '<>', '<', '<=', '>', '>=')
  }

  #sum(): Expression {
    return this.#chain(() => this.#product(), '+', '-')
  }

  #product(): Expression {
    return this.#chain(() => this.#membership(), '*', '/', '%')
  }

  #chain(operand: () => Expression, ...operators: readonly string[]): Expression {
    let left = operand()
    for (;;) {
      const operator = this.#symbol(...operators)
      if (operator === undefined) return left
      left = { kind: 'binary', operator: binary(operator), left, right: operand() }
    }
  }

  #membership(): Expression {
    let operand = this.#likeness()
    for (;;) {
      const negated = this.#notBefore('IN')
      if (!negated && this.#keyword('IN') === undefined) return operand
      if (this.#symbol('(') === undefined) throw this.#unexpected('"(" and a set')
      operand = { kind: 'in', negated, operand, set: this.#list(1) }
    }
  }

  #likeness(): Expression {
    let operand = this.#prefixed()
    for (;;) {
      const negated = this.#notBefore('LIKE')
      if (!negated && this.#keyword('LIKE') === undefined) return operand
      const { kind, text } = this.#peek
      if (kind !== 'string') throw this.#unexpected('a pattern in quotes')
      this.#next++
      operand = { kind: 'like', negated, operand, pattern: text }
    }
  }

  #notBefore(keyword: string): boolean {
    const [first, second] = this.#tokens.slice(this.#next, this.#next + 2)
    const both =
      first?.kind === 'word' &&
      first.text.toUpperCase() === 'NOT' &&
      second?.kind === 'word' &&
      second.text.toUpperCase() === keyword
    if (both) this.#next += 2
    return both
  }

  #prefixed(): Expression {
    return this.#deeper((): Expression => {
      if (this.#keyword('NOT') !== undefined) return { kind: 'not', operand: this.#prefixed() }
      if (this.#symbol('-') !== undefined) return { kind: 'negate', operand: this.#prefixed() }
      if (this.#keyword('EXISTS') !== undefined) return { kind: 'exists', name: this.#identifier() }
      return this.#atom()
    })
  }

  #atom(): Expression {
    const { kind, text, at } = this.#peek
    if (this.#symbol('(') !== undefined) {
      const inner = this.#logical()
      if (this.#symbol(')') === undefined) throw this.#unexpected('")"')
      return inner
    }
    if (kind === 'string') {
      this.#next++
      return { kind: 'literal', value: text }
    }
    if (kind === 'integer') {
      this.#next++
      const value = Number(text)
      if (value < -2_147_483_648 || value > 2_147_483_647)
        throw new CesqlSyntaxError(`${text} at ${at} is not an integer of 32 bits`)
      return { kind: 'literal', value }
    }
    const truth = this.#keyword('TRUE', 'FALSE')
    if (truth !== undefined) return { kind: 'literal', value: truth === 'TRUE' }
    const following = this.#tokens[this.#next + 1]
    const called =
      following?.kind === 'symbol' && following.text === '(' && following.at === at + text.length
    if (kind === 'word' && called && /^[a-z][a-z_]*$/i.test(text) && !isKeyword(text)) {
      this.#next += 2
      return { kind: 'call', name: text.toUpperCase(), args: this.#list(0) }
    }
    return { kind: 'attribute', name: this.#identifier() }
  }

  #identifier(): string {
    const { kind, text } = this.#peek
    if (kind !== 'word' || text.includes('_') || isKeyword(text))
      throw this.#unexpected('a value, an attribute or a function')
    this.#next++
    return text.toLowerCase()
  }

  /** After its parenthesis. */
  #list(least: number): readonly Expression[] {
    const items: Expression[] = []
    if (least === 0 && this.#symbol(')') !== undefined) return items
    do items.push(this.#logical())
    while (this.#symbol(',') !== undefined)
    if (this.#symbol(')') === undefined) throw this.#unexpected('"," or ")"')
    return items
  }
}

const isKeyword = (text: string): boolean => keywords.has(text.toUpperCase())

function binary(symbol: string): BinaryOperator {
  switch (symbol) {
    case '<>':
      return '!='
    case '*':
    case '/':
    case '%':
    case '+':
    case '-':
    case '=':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return symbol
    default:
      throw new Error(`no operator ${symbol}`)
  }
}

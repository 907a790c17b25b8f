/** Reads RE2's syntax into a tree (pattern.ts says what is left out). Sets are of bytes: characters beyond ASCII become the sequences of theirs. */

/** What is wrong with a pattern; the message names the place. */
export class PatternError extends Error {}

const maxRepeat = 1000
const maxDepth = 100
export const byteCount = 256

/** 1 for each byte that belongs to it. */
export type Set256 = Uint8Array

export type PatternNode =
  | { readonly kind: 'empty' }
  | { readonly kind: 'set'; readonly set: Set256 }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'all'; readonly nodes: readonly PatternNode[] }
  | { readonly kind: 'any'; readonly nodes: readonly PatternNode[] }
  | {
      readonly kind: 'repeat'
      readonly node: PatternNode
      readonly min: number
      readonly max: number
    }

export class PatternParser {
  readonly #source: string
  #at = 0
  #depth = 0
  #foldsCase = false
  #dotIsAll = false

  constructor(source: string) {
    this.#source = source
  }

  parse(): PatternNode {
    const node = this.#alternation()
    if (this.#at < this.#source.length) this.#fail('unexpected ")"')
    return node
  }

  #alternation(): PatternNode {
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    return nodes.length === 1 ? nodes[0]! : { kind: 'any', nodes }
  }

  #sequence(): PatternNode {
    const nodes: PatternNode[] = []
    for (;;) {
      const next = this.#source[this.#at]
      if (next === undefined || next === '|' || next === ')') break
      nodes.push(this.#quantified(this.#atom()))
    }
    return nodes.length === 0 ? { kind: 'empty' } : { kind: 'all', nodes }
  }

  #quantified(node: PatternNode): PatternNode {
    const range = this.#quantifier()
    if (!range) return node
    const [min, max] = range
    this.#take('?') // lazy: which of several ways matches the whole text makes no difference
    if (this.#quantifier()) this.#fail('a repetition is repeated: put it into a group')
    return { kind: 'repeat', node, min, max }
  }

  #quantifier(): readonly [number, number] | undefined {
    if (this.#take('*')) return [0, Infinity]
    if (this.#take('+')) return [1, Infinity]
    if (this.#take('?')) return [0, 1]
    const match = /^\{(\d+)(,(\d*))?\}/.exec(this.#source.slice(this.#at, this.#at + 16))
    if (!match) return undefined
    const min = Number(match[1])
    const max =
      match[2] === undefined
        ? min
        : match[3] === '' || match[3] === undefined
          ? Infinity
          : Number(match[3])
    if (min > maxRepeat || (max !== Infinity && max > maxRepeat))
      this.#fail(`repeats more than ${maxRepeat} times`)
    if (max < min) this.#fail('repeats at most fewer times than at least')
    this.#at += match[0].length
    return [min, max]
  }

  #atom(): PatternNode {
    const start = this.#at
    const character = this.#source[this.#at++]!
    switch (character) {
      case '(':
        return this.#group()
      case '[':
        return { kind: 'set', set: this.#class() }
      case '.':
        return { kind: 'set', set: setOf((code) => this.#dotIsAll || code !== 10) }
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '*':
      case '+':
      case '?':
        this.#at = start
        return this.#fail(`"${character}" has nothing to repeat`)
      case '\\':
        return this.#escape()
      default:
        return this.#literal(start)
    }
  }

  #literal(start: number): PatternNode {
    const character = String.fromCodePoint(this.#source.codePointAt(start)!)
    this.#at = start + character.length
    const nodes = [...Buffer.from(character, 'utf8')].map((byte): PatternNode => ({
      kind: 'set',
      set: this.#one(byte),
    }))
    return nodes.length === 1 ? nodes[0]! : { kind: 'all', nodes }
  }

  #group(): PatternNode {
    if (++this.#depth > maxDepth) this.#fail(`groups lie more than ${maxDepth} deep`)
    const foldsCase = this.#foldsCase
    const dotIsAll = this.#dotIsAll
    if (this.#take('?')) {
      const rest = this.#source.slice(this.#at, this.#at + 80)
      const name = /^P?<[A-Za-z_]\w*>/.exec(rest)
      const flags = /^([ims]*)(?:-([ims]+))?([:)])/.exec(rest)
      if (name) this.#at += name[0].length
      else if (flags) {
        this.#at += flags[0].length
        if (flags[1]!.includes('i')) this.#foldsCase = true
        if (flags[2]?.includes('i')) this.#foldsCase = false
        if (flags[1]!.includes('s')) this.#dotIsAll = true
        if (flags[2]?.includes('s')) this.#dotIsAll = false
        if (flags[3] === ')') {
          // For the rest of the group that it stands in.
          this.#depth--
          return { kind: 'empty' }
        }
      } else this.#fail('"(?" is followed by what is not known here (lookaround is not, as in RE2)')
    }
    const node = this.#alternation()
    if (!this.#take(')')) this.#fail('a group is not closed')
    this.#foldsCase = foldsCase
    this.#dotIsAll = dotIsAll
    this.#depth--
    return node
  }

  #escape(): PatternNode {
    const next = this.#source[this.#at]
    if (next === 'A' || next === 'z') {
      this.#at++
      return { kind: next === 'A' ? 'start' : 'end' }
    }
    const named = this.#namedSet()
    if (named) return { kind: 'set', set: named }
    return { kind: 'set', set: this.#one(this.#escapedByte()) }
  }

  /** Behind a backslash: a set such as \d. */
  #namedSet(): Set256 | undefined {
    const name = this.#source[this.#at] ?? ''
    const set = namedSets[name.toLowerCase()]
    if (!set) return undefined
    this.#at++
    return name === name.toLowerCase() ? set : setOf((code) => set[code] === 0)
  }

  /** Behind a backslash: one byte. */
  #escapedByte(): number {
    const name = this.#source[this.#at]
    if (name === undefined) return this.#fail('ends in a backslash')
    const control = controls[name]
    if (control !== undefined) {
      this.#at++
      return control
    }
    if (name === 'x') {
      const match = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,2})\})/.exec(
        this.#source.slice(this.#at, this.#at + 8),
      )
      if (!match) return this.#fail('"\\x" wants two hexadecimal digits')
      this.#at += match[0].length
      return Number.parseInt(match[1] ?? match[2]!, 16)
    }
    if (/[0-9]/.test(name)) return this.#fail('back-references are not known here, as in RE2')
    if (/[A-Za-z]/.test(name) || name.charCodeAt(0) > 127)
      return this.#fail(`"\\${name}" is not known here`)
    this.#at++
    return name.charCodeAt(0)
  }

  #class(): Set256 {
    const inverted = this.#take('^')
    const set = new Uint8Array(byteCount)
    for (let first = true; ; first = false) {
      const next = this.#source[this.#at]
      if (next === undefined) this.#fail('"[" is not closed')
      if (next === ']' && !first) break
      const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#source.slice(this.#at, this.#at + 16))
      if (posix) {
        const known = posixSets[posix[2]!]
        if (!known) return this.#fail(`"${posix[0]}" is not known`)
        this.#at += posix[0].length
        const wanted = posix[1] === '' ? 1 : 0
        for (let code = 0; code < byteCount; code++) if (known[code] === wanted) set[code] = 1
        continue
      }
      if (next === '\\') {
        this.#at++
        const named = this.#namedSet()
        if (named) {
          for (let code = 0; code < byteCount; code++) if (named[code] === 1) set[code] = 1
          continue
        }
        this.#at--
      }
      const from = this.#classByte()
      let to = from
      if (this.#source[this.#at] === '-' && (this.#source[this.#at + 1] ?? ']') !== ']') {
        this.#at++
        to = this.#classByte()
        if (to < from) this.#fail('a range runs backwards')
      }
      for (let code = from; code <= to; code++)
        this.#one(code).forEach((yes, i) => (set[i] ||= yes))
    }
    this.#at++
    return inverted ? setOf((code) => set[code] === 0) : set
  }

  #classByte(): number {
    const code = this.#source.charCodeAt(this.#at)
    if (code === 92) {
      this.#at++
      return this.#escapedByte()
    }
    if (Number.isNaN(code)) return this.#fail('"[" is not closed')
    if (code > 127) return this.#fail('only ASCII can stand in "[ ]"')
    this.#at++
    return code
  }

  #one(byte: number): Set256 {
    const set = new Uint8Array(byteCount)
    set[byte] = 1
    if (this.#foldsCase && byte < 128) {
      const character = String.fromCharCode(byte)
      set[character.toLowerCase().charCodeAt(0)] = 1
      set[character.toUpperCase().charCodeAt(0)] = 1
    }
    return set
  }

  #take(character: string): boolean {
    if (this.#source[this.#at] !== character) return false
    this.#at++
    return true
  }

  #fail(what: string): never {
    throw new PatternError(`${what} (at character ${this.#at + 1})`)
  }
}

function setOf(test: (code: number) => boolean): Set256 {
  return new Uint8Array(byteCount).map((_, code) => (test(code) ? 1 : 0))
}

/** The bytes of all ASCII characters that `pattern` matches. */
const ascii = (pattern: RegExp): Set256 =>
  setOf((code) => code < 128 && pattern.test(String.fromCharCode(code)))

const namedSets: Readonly<Record<string, Set256>> = {
  d: ascii(/\d/),
  w: ascii(/\w/),
  s: ascii(/[\t\n\f\r ]/),
}

const posixSets: Readonly<Record<string, Set256>> = {
  alnum: ascii(/[0-9A-Za-z]/),
  alpha: ascii(/[A-Za-z]/),
  digit: ascii(/\d/),
  lower: ascii(/[a-z]/),
  punct: ascii(/[!-/:-@[-`{-~]/),
  space: ascii(/[\t\n\v\f\r ]/),
  upper: ascii(/[A-Z]/),
  word: ascii(/\w/),
  xdigit: ascii(/[0-9A-Fa-f]/),
}

const controls: Readonly<Record<string, number>> = { a: 7, t: 9, n: 10, v: 11, f: 12, r: 13 }

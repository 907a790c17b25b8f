/**
 * Regular expressions in linear time, for patterns that come from API objects and texts that come from anybody: RE2's
 * syntax (github.com/google/re2/wiki/Syntax) and its answer to a pattern that would take exponential time by
 * backtracking, a set of states instead of a stack. A pattern must match the whole text. Left out: word boundaries,
 * Unicode classes, flag U; as in RE2 there are no back-references and no lookaround.
 */

/** What is wrong with a pattern; the message names the place. */
export class PatternError extends Error {}

const maxSourceLength = 4096
/** Steps of the machine: a repetition `{n,m}` is written out. */
const maxSteps = 2000
const maxRepeat = 1000
const maxDepth = 100
/** States of the automaton kept at a time, 512 bytes each; when full they are made anew. */
const maxStates = 128
const bytes = 256

type Set256 = Uint8Array

type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'set'; readonly set: Set256 }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'all'; readonly nodes: readonly Node[] }
  | { readonly kind: 'any'; readonly nodes: readonly Node[] }
  | { readonly kind: 'repeat'; readonly node: Node; readonly min: number; readonly max: number }

type Step =
  | { readonly op: 'set'; readonly set: Set256 }
  | { readonly op: 'fork'; first: number; second: number }
  | { readonly op: 'start' | 'end' | 'done' }

interface State {
  readonly steps: readonly number[]
  /** The whole text matches when it ends here. */
  readonly matches: boolean
  /** Byte -> number of the next state, 0 = not known yet. */
  readonly next: Uint16Array
}

/** A compiled pattern. */
export class Pattern {
  readonly #program: readonly Step[]
  #states: State[] = []
  #numbers = new Map<string, number>()

  /** Throws PatternError. */
  constructor(source: string) {
    if (source.length > maxSourceLength)
      throw new PatternError(`is longer than ${maxSourceLength} characters`)
    const program = new Compiler()
    program.add(new Parser(source).parse())
    program.push({ op: 'done' })
    this.#program = program.steps
    this.#reset()
  }

  /** `text`: one character a byte (latin1; UTF-8 read as latin1 for what lies beyond ASCII). Time grows with its length alone. */
  matches(text: string): boolean {
    let number = 2
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= bytes) return false
      const state = this.#states[number]!
      const next = state.next[code]!
      number = next === 0 ? this.#step(state, code) : next
      if (number === 1) return false
    }
    return this.#states[number]!.matches
  }

  #step(from: State, code: number): number {
    const steps: number[] = []
    for (const at of from.steps) {
      const step = this.#program[at]!
      if (step.op === 'set' && step.set[code] === 1) steps.push(at + 1)
    }
    if (this.#states.length >= maxStates) {
      this.#reset()
      return this.#number(steps, false)
    }
    const number = this.#number(steps, false)
    from.next[code] = number
    return number
  }

  /** 0 means unknown, 1 is the state without a way on, 2 the beginning. */
  #reset(): void {
    const dead: State = { steps: [], matches: false, next: new Uint16Array(bytes) }
    this.#states = [dead, dead]
    this.#numbers = new Map([['', 1]])
    this.#number([0], true)
  }

  #number(heads: readonly number[], atStart: boolean): number {
    const steps = this.#reach(heads, atStart, false)
    const key = atStart ? '^' : steps.join()
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const ends = this.#reach(heads, atStart, true)
    const matches = ends.some((at) => this.#program[at]!.op === 'done')
    this.#numbers.set(key, this.#states.length)
    return this.#states.push({ steps, matches, next: new Uint16Array(bytes) }) - 1
  }

  /** The steps that can be taken from `heads` without reading. */
  #reach(heads: readonly number[], atStart: boolean, atEnd: boolean): number[] {
    const seen = new Set<number>()
    const open = heads.toReversed()
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue
      seen.add(at)
      const step = this.#program[at]!
      if (step.op === 'fork') open.push(step.second, step.first)
      else if ((step.op === 'start' && atStart) || (step.op === 'end' && atEnd)) open.push(at + 1)
    }
    return [...seen]
      .filter((at) => {
        const { op } = this.#program[at]!
        return op === 'set' || op === 'done' || op === 'end'
      })
      .toSorted((a, b) => a - b)
  }
}

class Compiler {
  readonly steps: Step[] = []

  push(step: Step): void {
    if (this.steps.length >= maxSteps)
      throw new PatternError(`needs more than ${maxSteps} steps: repeat less`)
    this.steps.push(step)
  }

  add(node: Node): void {
    switch (node.kind) {
      case 'empty':
        return
      case 'set':
        this.push({ op: 'set', set: node.set })
        return
      case 'start':
      case 'end':
        this.push({ op: node.kind })
        return
      case 'all':
        for (const one of node.nodes) this.add(one)
        return
      case 'any':
        this.#alternatives(node.nodes)
        return
      case 'repeat':
        this.#repeat(node)
        return
      default:
        node satisfies never
    }
  }

  #fork(): Extract<Step, { readonly op: 'fork' }> {
    const fork: Step = { op: 'fork', first: this.steps.length + 1, second: this.steps.length + 1 }
    this.push(fork)
    return fork
  }

  #alternatives(nodes: readonly Node[]): void {
    const exits: Extract<Step, { readonly op: 'fork' }>[] = []
    for (const [i, node] of nodes.entries()) {
      if (i === nodes.length - 1) this.add(node)
      else {
        const fork = this.#fork()
        this.add(node)
        exits.push(this.#fork())
        fork.second = this.steps.length
      }
    }
    for (const exit of exits) exit.first = exit.second = this.steps.length
  }

  #repeat({ node, min, max }: Extract<Node, { readonly kind: 'repeat' }>): void {
    for (let i = 0; i < min; i++) {
      const before = this.steps.length
      this.add(node)
      if (this.steps.length === before) break // nothing, however often
    }
    if (max === Infinity) {
      const loop = this.#fork()
      const at = this.steps.length - 1
      this.add(node)
      const back = this.#fork()
      back.first = back.second = at
      loop.second = this.steps.length
    } else {
      const skips: Extract<Step, { readonly op: 'fork' }>[] = []
      for (let i = min; i < max; i++) {
        skips.push(this.#fork())
        this.add(node)
      }
      for (const skip of skips) skip.second = this.steps.length
    }
  }
}

class Parser {
  readonly #source: string
  #at = 0
  #depth = 0
  #foldsCase = false
  #dotIsAll = false

  constructor(source: string) {
    this.#source = source
  }

  parse(): Node {
    const node = this.#alternation()
    if (this.#at < this.#source.length) this.#fail('unexpected ")"')
    return node
  }

  #alternation(): Node {
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    return nodes.length === 1 ? nodes[0]! : { kind: 'any', nodes }
  }

  #sequence(): Node {
    const nodes: Node[] = []
    for (;;) {
      const next = this.#source[this.#at]
      if (next === undefined || next === '|' || next === ')') break
      nodes.push(this.#quantified(this.#atom()))
    }
    return nodes.length === 0 ? { kind: 'empty' } : { kind: 'all', nodes }
  }

  #quantified(node: Node): Node {
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

  #atom(): Node {
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

  #literal(start: number): Node {
    const character = String.fromCodePoint(this.#source.codePointAt(start)!)
    this.#at = start + character.length
    const nodes = [...Buffer.from(character, 'utf8')].map((byte): Node => ({
      kind: 'set',
      set: this.#one(byte),
    }))
    return nodes.length === 1 ? nodes[0]! : { kind: 'all', nodes }
  }

  #group(): Node {
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

  #escape(): Node {
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
    const set = new Uint8Array(bytes)
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
        for (let code = 0; code < bytes; code++) if (known[code] === wanted) set[code] = 1
        continue
      }
      if (next === '\\') {
        this.#at++
        const named = this.#namedSet()
        if (named) {
          for (let code = 0; code < bytes; code++) if (named[code] === 1) set[code] = 1
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
    const set = new Uint8Array(bytes)
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
  return new Uint8Array(bytes).map((_, code) => (test(code) ? 1 : 0))
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

/**
 * Regular expressions in linear time, for patterns that come from API objects and texts that come from anybody: RE2's
 * syntax (github.com/google/re2/wiki/Syntax) and its answer to a pattern that would take exponential time by
 * backtracking, a set of states instead of a stack. A pattern must match the whole text. Left out: word boundaries,
 * Unicode classes, flag U; as in RE2 there are no back-references and no lookaround.
 */
import {
  byteCount,
  PatternError,
  PatternParser,
  type PatternNode,
  type Set256,
} from './pattern-parser.ts'

export { PatternError }

const maxSourceLength = 4096
/** Steps of the machine: a repetition `{n,m}` is written out. */
const maxSteps = 2000
/** States of the automaton kept at a time, 512 bytes each; when full they are made anew. */
const maxStates = 128

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
    program.add(new PatternParser(source).parse())
    program.push({ op: 'done' })
    this.#program = program.steps
    this.#reset()
  }

  /** `text`: one character a byte (latin1; UTF-8 read as latin1 for what lies beyond ASCII). Time grows with its length alone. */
  matches(text: string): boolean {
    let number = 2
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code >= byteCount) return false
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
    const dead: State = { steps: [], matches: false, next: new Uint16Array(byteCount) }
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
    return this.#states.push({ steps, matches, next: new Uint16Array(byteCount) }) - 1
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

  add(node: PatternNode): void {
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

  #alternatives(nodes: readonly PatternNode[]): void {
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

  #repeat({ node, min, max }: Extract<PatternNode, { readonly kind: 'repeat' }>): void {
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

/**
 * CEL for rules and policies. The library (`@marcbachmann/cel-js`) is loaded when the first expression is met, and every
 * evaluation runs on a budget of steps, so that a rule costs a bounded time whatever it says.
 */
import { Awaiting } from '../../verbs/awaiting.ts'

/** An expression that cannot be read. `refuses`: a mistake of its author; otherwise something that is not known here. */
export class CelProblem extends Error {
  readonly refuses: boolean

  constructor(message: string, refuses: boolean) {
    super(message)
    this.refuses = refuses
  }
}

/** An expression that could not be evaluated. */
export class CelFailure extends Error {}

/** The steps that one request may take; what is longer ends with this. */
export class BudgetExceeded extends CelFailure {
  constructor() {
    super('operation cancelled: actual cost limit exceeded')
  }
}

export class Budget {
  #left: number

  constructor(steps: number) {
    this.#left = steps
  }

  get isExceeded(): boolean {
    return this.#left < 0
  }

  /** Steps that may still be taken; negative when it is exceeded. */
  get left(): number {
    return this.#left
  }

  charge(steps: number): void {
    this.#left -= steps
    if (this.#left < 0) throw new BudgetExceeded()
  }
}

export interface CelProgram {
  /** The type that the library infers: `bool`, `string`, `dyn`… */
  readonly type: string
  /** Whether the expression speaks of this variable. */
  uses(variable: string): boolean
  /** What follows the names of variables in it: `[['self', 'spec', 'size']]`. Empty where a name is computed. */
  readonly paths: readonly (readonly string[])[]
  /** Throws CelFailure. `values` are in the library's terms (`values.ts`). */
  evaluate(values: Readonly<Record<string, unknown>>, budget: Budget): unknown
}

export interface CelEngine {
  /** `variables` are the names that may be used. Throws CelProblem. */
  compile(source: string, variables: readonly string[]): CelProgram
  timestamp(text: string): unknown
  duration(text: string): unknown
  readonly absent: unknown
  present(value: unknown): unknown
}

let engine: CelEngine | undefined

/** The engine. Throws `Awaiting` as long as its library is not loaded. */
export function celEngine(): CelEngine {
  if (!engine) throw new Awaiting(loadCel)
  return engine
}

export async function loadCel(): Promise<void> {
  const { createEngine } = await import('./library.ts')
  engine ??= createEngine()
}

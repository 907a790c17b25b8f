/**
 * Evaluates JSONata in a process of its own (`jail.ts`), so that an expression that has no end, or eats all memory, costs
 * its own transform a moment and nobody else anything: it is stopped after its time, and the next event finds a fresh one.
 */
import { fork, type ChildProcess } from 'node:child_process'
import type { Clock } from '../../../lib/clock.ts'
import {
  jailMemoryMb,
  jailPath,
  jailRole,
  outOfMemoryCode,
  type Answered,
  type Asked,
} from './jail.ts'

/** Why an evaluation gave nothing. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
}

export interface EvaluatorOptions {
  readonly clock: Clock
  /** Of one evaluation, milliseconds. Default 5 s. */
  readonly limitMs?: number
}

interface Task {
  readonly asked: Asked
  readonly done: (output: string) => void
  readonly failed: (error: EvaluationError) => void
}

const defaultLimitMs = 5_000
/** Of the start of a process, which is nobody's expression's fault. */
const startMs = 30_000
/** Evaluations that wait, and what all of them say: beyond it no more are taken. */
const capacity = 256
const maxWaitingChars = 32 << 20
/** A process that nothing is asked of ends. */
const idleMs = 60_000

export class Evaluator implements AsyncDisposable {
  readonly #options: EvaluatorOptions
  readonly #waiting: Task[] = []
  #waitingChars = 0
  #jail: ChildProcess | undefined
  #isReady = false
  #current: Task | undefined
  #cancel = () => {}
  #closed = false

  constructor(options: EvaluatorOptions) {
    this.#options = options
  }

  /** The result as JSON text. Rejects with EvaluationError: no match, an error in it, too slow, too many that wait. */
  evaluate(expression: string, input: string): Promise<string> {
    return new Promise((done, failed) => {
      if (this.#closed) return failed(new EvaluationError('the engine is being stopped'))
      if (this.#waiting.length >= capacity || this.#waitingChars > maxWaitingChars)
        return failed(
          new EvaluationError(
            `${this.#waiting.length} events wait for this transform already: try again later`,
          ),
        )
      this.#waitingChars += input.length
      this.#waiting.push({ asked: { expression, input }, done, failed })
      this.#next()
    })
  }

  #next(): void {
    if (this.#current) return
    this.#cancel()
    const task = (this.#current = this.#waiting.shift())
    this.#waitingChars -= task?.asked.input.length ?? 0
    if (!task) {
      this.#cancel = this.#options.clock.after(idleMs, () => this.#end())
      return
    }
    const jail = (this.#jail ??= this.#start())
    this.#limit()
    // What can not be sent any more, its end tells of.
    jail.send(task.asked, () => {})
  }

  #limit(): void {
    this.#cancel()
    const { clock, limitMs = defaultLimitMs } = this.#options
    const [ms, what] = this.#isReady
      ? [limitMs, 'the expression took longer than']
      : [startMs, 'the process that evaluates expressions was not there within']
    this.#cancel = clock.after(ms, () => this.#lose(`${what} ${ms} ms and was stopped`))
  }

  #start(): ChildProcess {
    this.#isReady = false
    const jail = fork(jailPath, [jailRole], {
      // The limits of its thread hold first, when they do.
      execArgv: [`--max-old-space-size=${jailMemoryMb + 32}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: {},
    })
    jail.unref()
    jail.on('message', (message) => {
      if (jail !== this.#jail) return
      const { ready, output, error }: Answered = Object(message)
      if (ready) {
        this.#isReady = true
        return this.#limit()
      }
      const task = this.#current
      this.#current = undefined
      if (output === undefined) task?.failed(new EvaluationError(error ?? 'unknown'))
      else task?.done(output)
      this.#next()
    })
    jail.on('error', (error) => {
      if (jail === this.#jail) this.#lose(`the expression could not be run: ${error.message}`)
    })
    jail.on('exit', (code, signal) => {
      if (jail !== this.#jail) return
      // V8 ends a process that it gets no memory for.
      const isEaten = code === outOfMemoryCode || code === 134 || signal === 'SIGABRT'
      this.#lose(
        isEaten
          ? `the expression took more than ${jailMemoryMb} MB of memory and was stopped`
          : `the expression could not be run: its process ended with ${signal ?? code}`,
      )
    })
    return jail
  }

  /** Ends the process with what it does; the next one gets a fresh one. */
  #lose(reason: string): void {
    const task = this.#current
    this.#current = undefined
    this.#end()
    task?.failed(new EvaluationError(reason))
    this.#next()
  }

  #end(): void {
    this.#jail?.kill('SIGKILL')
    this.#jail = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#cancel()
    const ended = new EvaluationError('the transform was changed or removed')
    for (const task of [this.#current, ...this.#waiting.splice(0)]) task?.failed(ended)
    this.#waitingChars = 0
    this.#current = undefined
    this.#end()
  }
}

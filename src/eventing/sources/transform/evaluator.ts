/**
 * Evaluates JSONata in a thread of its own, so that an expression that has no end, or eats all memory, costs its own
 * transform a moment and nobody else anything: it is stopped after its time, and the next event finds a fresh thread.
 * This file is both sides: the owner, and what runs in the thread.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Clock } from '../../../lib/clock.ts'

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
  readonly expression: string
  /** JSON. */
  readonly input: string
  readonly done: (output: string) => void
  readonly failed: (error: EvaluationError) => void
}

interface Answered {
  /** Nothing more: from now on it evaluates. */
  readonly ready?: true
  readonly output?: string
  readonly error?: string
}

const defaultLimitMs = 5_000
/** Of the start of a thread, which is nobody's expression's fault. */
const startMs = 30_000
/** Evaluations that wait. */
const capacity = 256
/** A thread that nothing is asked of ends. */
const idleMs = 60_000
const memoryMb = 128

export class Evaluator implements AsyncDisposable {
  readonly #options: EvaluatorOptions
  readonly #waiting: Task[] = []
  #worker: Worker | undefined
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
      if (this.#waiting.length >= capacity)
        return failed(new EvaluationError(`${capacity} events wait for this transform already`))
      this.#waiting.push({ expression, input, done, failed })
      this.#next()
    })
  }

  #next(): void {
    if (this.#current) return
    this.#cancel()
    const task = (this.#current = this.#waiting.shift())
    if (!task) {
      this.#cancel = this.#options.clock.after(idleMs, () => void this.#end())
      return
    }
    const worker = (this.#worker ??= this.#start())
    this.#limit()
    worker.postMessage({ expression: task.expression, input: task.input })
  }

  #limit(): void {
    this.#cancel()
    const { clock, limitMs = defaultLimitMs } = this.#options
    this.#cancel = clock.after(this.#isReady ? limitMs : startMs, () =>
      this.#lose(`the expression took longer than ${limitMs} ms and was stopped`),
    )
  }

  #start(): Worker {
    this.#isReady = false
    const worker = new Worker(new URL(import.meta.url), {
      workerData: role,
      name: 'jsonata',
      resourceLimits: { maxOldGenerationSizeMb: memoryMb, stackSizeMb: 4 },
    })
    worker.unref()
    worker.on('message', ({ ready, output, error }: Answered) => {
      if (worker !== this.#worker) return
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
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#lose(`the expression could not be run: ${error.message}`)
    })
    return worker
  }

  /** Ends the thread with what it does; the next one gets a fresh one. */
  #lose(reason: string): void {
    const task = this.#current
    this.#current = undefined
    void this.#end()
    task?.failed(new EvaluationError(reason))
    this.#next()
  }

  async #end(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    this.#cancel()
    const ended = new EvaluationError('the transform was changed or removed')
    for (const task of [this.#current, ...this.#waiting.splice(0)]) task?.failed(ended)
    this.#current = undefined
    await this.#end()
  }
}

/** Undefined = it can be read. */
export async function expressionProblem(expression: string): Promise<string | undefined> {
  const { default: jsonata } = await import('jsonata')
  try {
    jsonata(expression)
    return undefined
  } catch (error) {
    return problemText(error)
  }
}

function problemText(thrown: unknown): string {
  const { message, position, code } = Object(thrown) as {
    readonly message?: string
    readonly position?: number
    readonly code?: string
  }
  const at = position === undefined ? '' : ` at character ${position}`
  return `${message ?? 'unknown'}${at}${code === undefined ? '' : ` (${code})`}`
}

const role = 'ebb-jsonata'

if (!isMainThread && workerData === role) await serve()

async function serve(): Promise<void> {
  const { default: jsonata } = await import('jsonata')
  const known = new Map<string, ReturnType<typeof jsonata>>()
  const answer = async (text: string, input: string): Promise<Answered> => {
    try {
      const expression = known.get(text) ?? jsonata(text)
      if (known.size > 16) known.clear()
      known.set(text, expression)
      const result: unknown = await expression.evaluate(JSON.parse(input))
      const output = JSON.stringify(result) as string | undefined
      return output === undefined
        ? { error: 'the expression matched nothing: its result is undefined' }
        : { output }
    } catch (error) {
      return { error: problemText(error) }
    }
  }
  parentPort?.postMessage({ ready: true })
  parentPort?.on('message', ({ expression, input }: { expression: string; input: string }) => {
    void answer(expression, input).then((answered) => parentPort?.postMessage(answered))
  })
}

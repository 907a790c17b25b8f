/**
 * A process that evaluates JSONata for the engine, since what eats all memory at once ends the process it runs in, a
 * thread's limits notwithstanding. Its main thread only passes messages on, so that it notices the end of the engine
 * while an expression runs in the other thread. This file is all sides: its path, and what runs in both threads.
 */
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** What to evaluate, one at a time. */
export interface Asked {
  readonly expression: string
  /** JSON. */
  readonly input: string
}

export interface Answered {
  /** Nothing more: from now on it evaluates. */
  readonly ready?: true
  /** JSON. */
  readonly output?: string
  readonly error?: string
}

export const jailPath = fileURLToPath(import.meta.url)
/** Of a result: what an event may have, all included. */
const maxOutputChars = 16 << 20
/** The only argument that the process is started with. */
export const jailRole = 'ebb-jsonata'
export const jailMemoryMb = 128
/** What the process ends with when a thread has noticed that its memory is used up. */
export const outOfMemoryCode = 9

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

if (!isMainThread && workerData === jailRole) await serve()
else if (isMainThread && process.argv[2] === jailRole) relay()

function relay(): void {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: jailRole,
    resourceLimits: { maxOldGenerationSizeMb: jailMemoryMb, stackSizeMb: 4 },
  })
  worker.on('message', (answered: Answered) => process.send?.(answered))
  worker.on('error', () => process.exit(outOfMemoryCode))
  process.on('message', (asked: Asked) => worker.postMessage(asked))
  process.on('disconnect', () => process.exit(0))
}

async function serve(): Promise<void> {
  const { default: jsonata } = await import('jsonata')
  const known = new Map<string, ReturnType<typeof jsonata>>()
  const answer = async ({ expression: text, input }: Asked): Promise<Answered> => {
    try {
      const expression = known.get(text) ?? jsonata(text)
      if (known.size > 16) known.clear()
      known.set(text, expression)
      const result: unknown = await expression.evaluate(JSON.parse(input))
      const output = JSON.stringify(result) as string | undefined
      if (output === undefined)
        return { error: 'the expression matched nothing: its result is undefined' }
      return output.length > maxOutputChars
        ? {
            error: `the result has ${output.length} characters, expected at most ${maxOutputChars}`,
          }
        : { output }
    } catch (error) {
      return { error: problemText(error) }
    }
  }
  const ready: Answered = { ready: true }
  parentPort?.postMessage(ready)
  parentPort?.on('message', (asked: Asked) => {
    void answer(asked).then((answered) => parentPort?.postMessage(answered))
  })
}

/** What `replay` and `dead-letters redrive` share: the question before, how far it is, and the report after. */
import { createInterface } from 'node:readline/promises'
import type { ReplayProgress, ReplayResult } from '../../eventing/broker/following/replay.ts'
import { systemClock } from '../../lib/clock.ts'
import { Unreached, type Inlet } from './api.ts'
import { documentPrinter, isAsked, type Session } from './session.ts'
import { plain } from './text.ts'

/** Asks at a terminal; anywhere else --yes is needed. */
export async function agreed({ args, out }: Session, question: string): Promise<boolean> {
  if (args.boolean('yes')) return true
  if (!process.stdin.isTTY) {
    out.note(`${question} Nobody is there to ask: give --yes`)
    return false
  }
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await asking.question(`${question} [y/N] `)
  asking.close()
  return /^y(es)?$/i.test(answer.trim())
}

type Words = readonly [noun: string, done: string]

interface Sending {
  readonly inlet: Inlet
  readonly subresource: 'replay' | 'redrive'
  readonly body: object
  /** As the count before said. */
  readonly count: number
  readonly words: Words
}

/** Between two notes on how far it is. */
const noteEveryMs = 5000
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

/** Sends, and reports; whoever ends it before its end is told how far it came. Answers the exit code. */
export async function sendAgain(
  session: Session,
  sending: Sending,
  process: Pick<NodeJS.EventEmitter, 'once' | 'off'> = globalThis.process,
): Promise<number> {
  const { inlet, subresource, body, count, words } = sending
  const [noun, done] = words
  const ending = new AbortController()
  let soFar: ReplayProgress = { delivered: 0, failed: 0 }
  let notedMs = systemClock.monotonic()
  const howFar = () =>
    [
      `${soFar.delivered} of ${counting(count, noun)} ${done}`,
      ...(soFar.failed > 0 ? [`${soFar.failed} not taken`] : []),
    ].join(', ')
  const progress = (now: ReplayProgress) => {
    soFar = now
    if (systemClock.monotonic() - notedMs < noteEveryMs) return
    notedMs = systemClock.monotonic()
    session.out.note(`${howFar()} so far`)
  }
  const end = (name: NodeJS.Signals) => ending.abort(name)
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const name of signals) process.once(name, end)
  try {
    const { signal } = ending
    const result = await session.api.send(inlet, subresource, body, { signal, progress })
    return await report(session, result, words)
  } catch (error) {
    const name = signals.find((each) => each === ending.signal.reason)
    if (name === undefined && !(error instanceof Unreached)) throw error
    const why = name === undefined ? 'The event engine or the API server ended' : 'Interrupted'
    session.out.note(`${why}: ${howFar()}; a few more may have been on their way.`)
    return name === undefined ? 1 : exitCodes[name]
  } finally {
    for (const name of signals) process.off(name, end)
  }
}

export async function told(session: Session, result: ReplayResult, text: string): Promise<number> {
  const print = isAsked(session) === 'name' ? undefined : await documentPrinter(session)
  if (print) print(result, '')
  else session.out.print(text)
  return 0
}

async function report(
  session: Session,
  result: ReplayResult,
  [noun, done]: Words,
): Promise<number> {
  const { selected, delivered, failures } = result
  await told(session, result, `${delivered} of ${counting(selected, noun)} ${done}`)
  for (const { sequence, number, reason } of failures)
    session.out.note(`${number === undefined ? `#${sequence}` : number}: ${plain(reason)}`)
  const untold = selected - delivered - failures.length
  if (untold > 0) session.out.note(`and ${untold} more that were not taken`)
  return delivered === selected ? 0 : 1
}

/** `1 event`, `2 events`. */
export const counting = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`

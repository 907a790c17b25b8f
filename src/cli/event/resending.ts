/** What `replay` and `dead-letters redrive` share: the question before, and the report after. */
import { createInterface } from 'node:readline/promises'
import type { ReplayResult } from '../../eventing/broker/following/replay.ts'
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

export async function told(session: Session, result: ReplayResult, text: string): Promise<number> {
  const print = isAsked(session) === 'name' ? undefined : await documentPrinter(session)
  if (print) print(result, '')
  else session.out.print(text)
  return 0
}

export async function report(
  session: Session,
  result: ReplayResult,
  [noun, done]: readonly [string, string],
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

/** `ebb event replay | dead-letters`: events are sent again, counted first; what nobody took is shown and settled. */
import { createInterface } from 'node:readline/promises'
import { systemClock } from '../lib/clock.ts'
import type { ReplayResult, SeenEvent, Selection } from '../eventing/broker/following/following.ts'
import { UsageError } from './command.ts'
import { countOf, selectionOf } from './event-selection.ts'
import {
  documentPrinter,
  isAsked,
  linesOf,
  lookedAt,
  noMore,
  oneInlet,
  type Session,
} from './event-session.ts'
import { eventRow, plain, tableText } from './event-text.ts'

export async function replay(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { api, args } = session
  const limit = args.string('limit')
  const selection: Selection = {
    ...selectionOf(args, systemClock.now()),
    ...(limit !== undefined && { last: countOf(args, 'limit', 0) }),
  }
  const subscription = args.string('to-trigger')
  const url = args.string('to')
  if ((subscription === undefined) === (url === undefined))
    throw new UsageError('expected either --to-trigger NAME or --to URL')
  const to = subscription === undefined ? { url: { url } } : { subscription }
  const inlet = await oneInlet(session)
  const send = (dryRun: boolean) =>
    api.post<ReplayResult>(inlet, 'replay', { selection, to, dryRun })
  const counted = await send(true)
  const target = subscription ?? url ?? ''
  if (args.boolean('dry-run'))
    return told(session, counted, `${counted.selected} event(s) would be sent to ${target}`)
  if (counted.selected === 0)
    throw new Error(
      `no event of ${inlet.name} is meant by these flags: nothing was sent; \`ebb event list\` shows what there is`,
    )
  if (!(await agreed(session, `Send ${counted.selected} event(s) to ${target}?`))) return 1
  return report(session, await send(false), 'sent')
}

export async function deadLetters(
  session: Session,
  [verb, ...numbers]: readonly string[],
): Promise<number> {
  if (verb === undefined) return await listDeadLetters(session)
  if (verb !== 'redrive' && verb !== 'discard')
    throw new UsageError(`dead-letters: expected redrive or discard, found "${verb}"`)
  return await settleDeadLetters(session, verb === 'discard', numbers)
}

interface ShownLetter extends SeenEvent {
  readonly number: number
  readonly subscription: string
  readonly name?: string
  readonly reason: Readonly<Record<string, string>>
}

async function listDeadLetters(session: Session): Promise<number> {
  const { args, out } = session
  const trigger = args.string('trigger')
  const print = await documentPrinter(session)
  let count = 0
  const inlets = await lookedAt(session)
  for await (const { inlet, found: letter } of linesOf<ShownLetter>(
    session,
    inlets,
    'dead-letters',
  )) {
    const subscription = letter.name ?? letter.subscription
    if (trigger !== undefined && trigger !== subscription) continue
    count++
    if (print) {
      print(letter, String(letter.number))
      continue
    }
    const { knativeerrordest = '', knativeerrorcode = '', knativeerrordata = '' } = letter.reason
    const said = Buffer.from(knativeerrordata, 'base64').toString('utf8').trim().slice(0, 200)
    const [row = ''] = tableText([eventRow(letter, `${inlet.namespace}/${inlet.name}`)])
    out.print(`${letter.number}  ${row}`)
    out.print(
      `   ${subscription} → ${plain(knativeerrordest)}: ${plain(knativeerrorcode)}${said === '' ? '' : ` ${plain(JSON.stringify(said))}`}`,
    )
  }
  if (!print && count === 0) out.note('No dead letters: everything was taken, or is being tried.')
  return 0
}

async function settleDeadLetters(
  session: Session,
  discard: boolean,
  given: readonly string[],
): Promise<number> {
  const { args, api, out } = session
  const numbers = given.map((text) => {
    if (!/^[1-9]\d{0,14}$/.test(text))
      throw new UsageError(`expected numbers of dead letters, found "${text}"`)
    return Number(text)
  })
  const subscription = args.string('trigger')
  if (numbers.length === 0 && subscription === undefined && !args.boolean('all'))
    throw new UsageError('which? expected numbers, --trigger NAME or --all')
  const inlet = await oneInlet(session)
  const settle = (dryRun: boolean) =>
    api.post<ReplayResult>(inlet, 'redrive', {
      ...(numbers.length > 0 && { numbers }),
      ...(subscription !== undefined && { subscription }),
      discard,
      dryRun,
    })
  const counted = await settle(true)
  const { selected } = counted
  if (args.boolean('dry-run'))
    return told(
      session,
      counted,
      `${selected} dead letter(s) would be ${discard ? 'let go' : 'sent again'}`,
    )
  const missing = numbers.length - selected
  if (numbers.length > 0 && missing > 0)
    throw new Error(
      `${missing} of these numbers are no dead letters of ${inlet.name}: nothing was done; \`ebb event dead-letters\` shows them`,
    )
  if (selected === 0) {
    out.note(`No dead letters of ${inlet.name} are meant: nothing was done.`)
    return 0
  }
  const what = discard ? 'Let go of' : 'Send again'
  if (!(await agreed(session, `${what} ${selected} dead letter(s)?`))) return 1
  const result = await settle(false)
  if (!discard) return report(session, result, 'sent again')
  return told(session, result, `${result.selected} dead letter(s) let go`)
}

/** Asks at a terminal; anywhere else --yes is needed. */
async function agreed({ args, out }: Session, question: string): Promise<boolean> {
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

async function told(session: Session, result: ReplayResult, text: string): Promise<number> {
  const print = isAsked(session) === 'name' ? undefined : await documentPrinter(session)
  if (print) print(result, '')
  else session.out.print(text)
  return 0
}

async function report(session: Session, result: ReplayResult, word: string): Promise<number> {
  const { selected, delivered, failures } = result
  await told(session, result, `${delivered} of ${selected} event(s) ${word}`)
  for (const { sequence, reason } of failures) session.out.note(`#${sequence}: ${plain(reason)}`)
  return delivered === selected ? 0 : 1
}

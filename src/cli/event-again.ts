/** `ebb event replay | dead-letters`: events are sent again, counted first; what nobody took is shown and settled. */
import { createInterface } from 'node:readline/promises'
import { systemClock } from '../lib/clock.ts'
import type { ReplayResult, Selection } from '../eventing/broker/following/following.ts'
import { UsageError } from './command.ts'
import type { Inlet } from './event-api.ts'
import { countOf, selectionOf } from './event-selection.ts'
import {
  channelOf,
  documentPrinter,
  isAsked,
  linesOf,
  lookedAt,
  noMore,
  oneInlet,
  placeOf,
  type Session,
} from './event-session.ts'
import {
  letterColumns,
  letterRow,
  plain,
  reasonText,
  tableText,
  type ShownLetter,
} from './event-text.ts'

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
    return told(
      session,
      counted,
      `${counting(counted.selected, 'event')} would be sent to ${target}`,
    )
  if (counted.selected === 0)
    throw new Error(
      `no event of ${inlet.name} is meant by these flags: nothing was sent; \`ebb event list\` shows what there is`,
    )
  if (!(await agreed(session, `Send ${counting(counted.selected, 'event')} to ${target}?`)))
    return 1
  return report(session, await send(false), ['event', 'sent'])
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

async function listDeadLetters(session: Session): Promise<number> {
  const { out } = session
  const print = await documentPrinter(session)
  const rows: (readonly string[])[] = []
  const isMeant = meantBy(session)
  const inlets = await lookedAt(session)
  for await (const { inlet, found: letter } of linesOf<ShownLetter>(
    session,
    inlets,
    'dead-letters',
  )) {
    if (!isMeant(letter)) continue
    if (print) print({ ...letter, channel: channelOf(inlet) }, String(letter.number))
    else rows.push(letterRow(letter, placeOf(session, inlet)))
  }
  if (print) return 0
  if (rows.length === 0) {
    const { args } = session
    const isSome = args.string('trigger') !== undefined || args.string('reason') !== undefined
    out.note(
      isSome
        ? 'No dead letters are meant by these flags.'
        : 'No dead letters: everything was taken, or is being tried.',
    )
    return 0
  }
  for (const line of tableText([letterColumns, ...rows])) out.print(line)
  out.note('`ebb event dead-letters redrive N` sends one again, `discard N` lets it go; or --all.')
  return 0
}

/** By --trigger and --reason. */
function meantBy({ args }: Session): (letter: ShownLetter) => boolean {
  const trigger = args.string('trigger')
  const reason = args.string('reason')
  return (letter) =>
    (trigger === undefined || trigger === letter.name || trigger === letter.subscription) &&
    (reason === undefined || reasonText(letter).includes(reason))
}

async function settleDeadLetters(
  session: Session,
  discard: boolean,
  given: readonly string[],
): Promise<number> {
  const { args, api, out } = session
  const asked = given.map((text) => {
    if (!/^[1-9]\d{0,14}$/.test(text))
      throw new UsageError(`expected numbers of dead letters, found "${text}"`)
    return Number(text)
  })
  const subscription = args.string('trigger')
  const reason = args.string('reason')
  if (asked.length + [subscription, reason].filter(Boolean).length === 0 && !args.boolean('all'))
    throw new UsageError('which? expected numbers, --trigger NAME, --reason TEXT or --all')
  const inlet = await oneInlet(session)
  const what = `${inlet.resource === 'brokers' ? 'Broker' : 'Channel'} ${inlet.name}`
  const numbers =
    asked.length > 0 || reason !== undefined
      ? await numbersOf(session, inlet, asked, what)
      : undefined
  const settle = (dryRun: boolean) =>
    api.post<ReplayResult>(inlet, 'redrive', {
      ...(numbers && { numbers }),
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
      `${counting(selected, 'dead letter')} would be ${discard ? 'let go' : 'sent again'}`,
    )
  if (selected === 0) {
    out.note(`No dead letters of ${what} are meant: nothing was done.`)
    return 0
  }
  const verb = discard ? 'Let go of' : 'Send again'
  if (!(await agreed(session, `${verb} ${counting(selected, 'dead letter')}?`))) return 1
  const result = await settle(false)
  if (!discard) return report(session, result, ['dead letter', 'sent again'])
  return told(session, result, `${counting(result.selected, 'dead letter')} let go`)
}

/** Of those that --trigger and --reason mean; of the numbers given, unless there are none. Throws when one is missing. */
async function numbersOf(
  session: Session,
  inlet: Inlet,
  asked: readonly number[],
  what: string,
): Promise<readonly number[]> {
  const there = new Set<number>()
  const meant: number[] = []
  const isMeant = meantBy(session)
  for await (const letter of session.api.lines<ShownLetter>(inlet, 'dead-letters')) {
    there.add(letter.number)
    if (isMeant(letter)) meant.push(letter.number)
  }
  const missing = asked.filter((number) => !there.has(number))
  if (missing.length > 0)
    throw new Error(
      `there is no dead letter ${missing.join(', ')} of ${what}: nothing was done; \`ebb event dead-letters\` shows them`,
    )
  return asked.length > 0 ? asked.filter((number) => meant.includes(number)) : meant
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

async function report(
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
const counting = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : 's'}`

/** `ebb event dead-letters`: what nobody took, with the reason; it is sent again or let go. */
import type { ReplayResult } from '../../eventing/broker/following/replay.ts'
import { UsageError } from '../command.ts'
import type { Inlet } from './api.ts'
import { agreed, counting, sendAgain, told } from './resending.ts'
import {
  channelOf,
  documentPrinter,
  linesOf,
  lookedAt,
  oneInlet,
  placeOf,
  type Session,
} from './session.ts'
import { letterColumns, letterRow, reasonText, tableText, type ShownLetter } from './text.ts'

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
  const body = {
    ...(numbers && { numbers }),
    ...(subscription !== undefined && { subscription }),
    discard,
  }
  const counted = await api.post<ReplayResult>(inlet, 'redrive', { ...body, dryRun: true })
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
  if (!discard)
    return await sendAgain(session, {
      inlet,
      subresource: 'redrive',
      body,
      count: selected,
      words: ['dead letter', 'sent again'],
    })
  const result = await api.post<ReplayResult>(inlet, 'redrive', body)
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

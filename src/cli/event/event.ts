/** `ebb event`: sends events, shows where they went and why, and sends them again. */
import { UsageError, type Command, type Flag } from '../command.ts'
import { postTo, postToUrl } from './address.ts'
import { backlog } from './backlog.ts'
import { deadLetters } from './dead-letters.ts'
import { list } from './list.ts'
import { replay } from './replay.ts'
import { sendEvent } from './sending.ts'
import { noMore, openSession, type Session } from './session.ts'
import { tail } from './tail.ts'
import { eventVerbs } from './verbs.ts'
import { show, trace } from './ways.ts'

type Run = (session: Session, rest: readonly string[]) => Promise<number>

const runs: Readonly<Record<keyof typeof eventVerbs, Run>> = {
  send,
  tail,
  list,
  show,
  trace,
  replay,
  'dead-letters': deadLetters,
  backlog,
}

const isVerb = (name: string): name is keyof typeof eventVerbs => Object.hasOwn(eventVerbs, name)
const names = Object.keys(eventVerbs).join(', ')

export const event: Command = {
  name: 'event',
  usage:
    'send | tail | list | show ID | trace ID | replay | dead-letters [redrive | discard] [N…] | backlog',
  summary: 'Events: send them, see where each went and why, send them again',
  details:
    'Without --broker or --channel, all of the namespace is looked at, and the only Broker there is meant.',
  verbs: eventVerbs,
  flags: Object.assign(
    {},
    ...Object.values(eventVerbs).map(({ flags }): Readonly<Record<string, Flag>> => flags),
  ),
  positionals: [0, 1000],
  async run(args, out) {
    const [name, ...rest] = args.positionals
    if (name === undefined) throw new UsageError(`what is to be done? There are ${names}`)
    if (!isVerb(name)) {
      const isTheirs = name === 'redrive' || name === 'discard'
      const hint = isTheirs ? `: dead-letters ${name} does that` : ''
      throw new UsageError(`expected ${names}; found "${name}"${hint}`)
    }
    await using session = await openSession(args, out)
    return await runs[name](session, rest)
  },
}

async function send(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { args, out } = session
  const to = args.string('to')
  await sendEvent(
    args,
    to === undefined ? await postTo(session) : await postToUrl(session, to),
    out,
  )
  return 0
}

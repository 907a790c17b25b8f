/**
 * What somebody should look after before events are refused: subscribers so far behind that their Broker's log fills up,
 * dead letters that nobody decides about, and a disk that can't be read. Pure; the control plane tells it on the objects.
 */
import type { Damage } from '../../log/segment.ts'
import type { EngineWarning } from '../feed.ts'

type About = Pick<EngineWarning, 'uid' | 'kind' | 'namespace' | 'name'>

/** How a channel does, as far as it matters here. */
export interface ChannelState {
  readonly config: About
  /** Of its log, and of its dead letters. */
  readonly limitBytes: number
  readonly deadLetterBytes: number
  readonly subscriptions: readonly {
    readonly config: About
    /** What its backlog keeps on disk. */
    readonly heldBytes: number
    /** Why its events can't be read at the moment. */
    readonly unreadable?: string | undefined
  }[]
  /** Found lately. */
  readonly damages: readonly Damage[]
}

export interface FoundDamage extends Damage {
  /** Milliseconds since the epoch. */
  readonly foundMs: number
}

/** Damage is told for so long: nobody can undo it. */
export const damageToldMs = 3_600_000

/** From so much of a log on, held up by one subscription, somebody should hear of it; told again with each step more. */
const worthTelling = 50
const step = 10
/** Of those behind: the others wait for the same. */
const most = 10

export function warningsOf(state: ChannelState): readonly EngineWarning[] {
  const { config, limitBytes, deadLetterBytes, subscriptions, damages } = state
  const log = `the log of ${config.kind} ${config.namespace}/${config.name}`
  const full = (bytes: number) => Math.floor((bytes / limitBytes) * (100 / step)) * step
  const room = `${Number((limitBytes / 2 ** 30).toPrecision(3))} GiB`
  const behind = subscriptions
    .filter(({ heldBytes }) => full(heldBytes) >= worthTelling)
    .toSorted((a, b) => b.heldBytes - a.heldBytes)
  const warnings: EngineWarning[] = behind.slice(0, most).map(({ config: of, heldBytes }) => ({
    ...aboutOf(of),
    reason: 'EventsPileUp',
    message: `events wait for its subscriber and fill ${full(heldBytes)} % of the ${room} of ${log}: when it is full, senders are refused with 503. Bring the subscriber back, give it a deadLetterSink with fewer retries, or delete the ${of.kind}`,
  }))
  const [first] = behind
  if (first) {
    const others = behind.length > 1 ? ` and ${behind.length - 1} more` : ''
    warnings.push({
      ...aboutOf(config),
      reason: 'EventsPileUp',
      message: `events wait for ${first.config.kind} ${first.config.name}${others} and fill ${full(first.heldBytes)} % of the ${room} of its log: when it is full, senders are refused with 503`,
    })
  }
  if (full(deadLetterBytes) >= worthTelling)
    warnings.push({
      ...aboutOf(config),
      reason: 'DeadLettersPileUp',
      message: `dead letters fill ${full(deadLetterBytes)} % of the ${room} that they may take: when that is full, events that nobody takes stay in the log. See \`ebb event dead-letters\`, and redrive or discard them`,
    })
  for (const { config: of, unreadable } of subscriptions)
    if (unreadable !== undefined && warnings.length < 2 * most)
      warnings.push({
        ...aboutOf(of),
        reason: 'EventsUnreadable',
        message: `events in ${log} can not be read: ${unreadable}. They wait and are tried again; look after the disk`,
      })
  for (const { file, fromByte, toByte } of damages)
    // What stands at the end of a file is a write that a crash cut short: nobody was told that it is kept.
    if (toByte !== undefined || fromByte === 0)
      warnings.push({
        ...aboutOf(config),
        reason: 'EventsDamaged',
        message: `${file} is not as it was written, from byte ${fromByte} on: what can be read of it goes on; look after the disk`,
      })
  return warnings
}

const aboutOf = ({ uid, kind, namespace, name }: About) => ({
  uid,
  kind,
  namespace,
  name,
})

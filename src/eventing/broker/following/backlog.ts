/** How far behind the subscriptions of a Broker or channel are, and how full its log is: who looks sees it before senders are refused. */
import type { Channel } from '../channel.ts'
import type { SubscriptionConfig } from '../feed.ts'

export interface Backlog {
  /** Of the log on disk, and how large it may become before events are refused. */
  readonly bytes: number
  readonly limitBytes: number
  /** Events that came in, since the log began. */
  readonly accepted: number
  readonly deadLetters: number
  /** Who has most to go comes first. */
  readonly subscriptions: readonly SubscriptionBacklog[]
}

export interface SubscriptionBacklog extends Pick<
  SubscriptionConfig,
  'uid' | 'kind' | 'namespace' | 'name'
> {
  /** Absent while that does not resolve. */
  readonly subscriber?: string
  /** Events it is not done with; its filter may still refuse some. */
  readonly backlog: number
  /** Of these: tried without success, and to be tried again. */
  readonly retrying: number
  /** What the backlog keeps on disk. */
  readonly heldBytes: number
  /** When the oldest of them came in; absent without any. */
  readonly oldestMs?: number
}

export async function backlogOf(channel: Channel): Promise<Backlog> {
  const { events, deadLetters, dispatchers } = channel
  const subscriptions = await Promise.all(
    dispatchers.map(async ({ config, stats, heldBytes, floor }): Promise<SubscriptionBacklog> => {
      const { uid, kind, namespace, name, subscriber } = config
      const oldestMs = stats.backlog > 0 ? await timeOf(channel, floor) : undefined
      return {
        uid,
        kind,
        namespace,
        name,
        ...(subscriber && { subscriber: subscriber.url }),
        backlog: stats.backlog,
        retrying: stats.deferred,
        heldBytes,
        ...(oldestMs !== undefined && { oldestMs }),
      }
    }),
  )
  return {
    bytes: events.bytes,
    limitBytes: events.limitBytes,
    accepted: events.newest,
    deadLetters: deadLetters.count,
    subscriptions: subscriptions.toSorted((a, b) => b.backlog - a.backlog),
  }
}

/** Undefined when it can't be read. */
async function timeOf({ events }: Channel, sequence: number): Promise<number | undefined> {
  for await (const { timeMs } of events.read({ from: sequence, to: sequence })) return timeMs
  return undefined
}

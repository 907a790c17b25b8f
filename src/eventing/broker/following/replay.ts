/**
 * Sending again: events that lie in the log, to a subscription or elsewhere, and dead letters, to whom they were meant for.
 * Or letting dead letters go.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Channel } from '../channel.ts'
import type { DeadLetter } from '../delivery/dead-letters.ts'
import { complaintOf, toSubscriber } from '../delivery/delivery.ts'
import { SendError, type Sender } from '../delivery/sender.ts'
import type { Destination, SubscriptionConfig } from '../feed.ts'
import type { StoredEvent } from '../stored-event.ts'
import type { Journal } from './journal.ts'
import { select, type Selection } from './selection.ts'

export interface ReplayResult {
  readonly selected: number
  readonly delivered: number
  readonly failures: readonly SendFailure[]
}

/** While events are being sent: how far it is. */
export interface ReplayProgress {
  readonly delivered: number
  readonly failed: number
}

export interface SendFailure {
  readonly sequence: number
  /** Of the dead letter, if it is one. */
  readonly number?: number
  readonly reason: string
}

/** What sending again takes. */
export interface AgainDeps {
  readonly sender: Sender
  readonly clock: Clock
  readonly journal: Journal
  readonly dryRun: boolean
  readonly signal: AbortSignal
  /** Called after each event. */
  readonly progress?: (soFar: ReplayProgress) => void
}

/** Failures that are told one by one. */
const maxFailures = 100
/** Under way at a time. */
const replayParallelism = 8

/**
 * Sends selected events again, to the subscriber of a subscription as a delivery would, or to a URL; answers are not
 * taken. With `dryRun` it only counts.
 */
export async function replay(
  channel: Channel,
  selection: Selection,
  target: { readonly subscription: string } | { readonly url: Destination },
  deps: AgainDeps,
): Promise<ReplayResult> {
  const config = targetOf(channel, target)
  let selected = 0
  let delivered = 0
  let failed = 0
  const failures: SendFailure[] = []
  const underWay = new Set<Promise<void>>()
  const send = async (sequence: number, stored: StoredEvent) => {
    const reason = await deliver(channel, { sequence, stored }, config, deps)
    if (reason === undefined) delivered++
    else {
      failed++
      if (failures.length < maxFailures) failures.push({ sequence, reason })
    }
    deps.progress?.({ delivered, failed })
  }
  for await (const { logged, stored } of select(channel, selection)) {
    if (deps.signal.aborted) break
    selected++
    if (deps.dryRun) continue
    const sending: Promise<void> = send(logged.sequence, stored).finally(() =>
      underWay.delete(sending),
    )
    underWay.add(sending)
    if (underWay.size >= replayParallelism) await Promise.race(underWay)
  }
  await Promise.all(underWay)
  return { selected, delivered, failures }
}

/** Stands for whom a URL of a replay belongs to. */
export const replayUid = 'replay'

function targetOf(
  channel: Channel,
  target: { readonly subscription: string } | { readonly url: Destination },
): SubscriptionConfig {
  const { namespace, kind } = channel.config
  if ('url' in target)
    return {
      uid: replayUid,
      kind: kind === 'Broker' ? 'Trigger' : 'Subscription',
      namespace,
      name: 'replay',
      subscriber: target.url,
      delivery: { retry: 0 },
    }
  return subscriptionOf(channel, target.subscription)
}

/** By uid or name. Throws RangeError with the names there are. */
export function subscriptionOf(
  { config, dispatchers }: Channel,
  named: string,
): SubscriptionConfig {
  const found = dispatchers.find(({ config: { uid, name } }) => uid === named || name === named)
  if (found) return found.config
  const noun = config.kind === 'Broker' ? 'Trigger' : 'Subscription'
  const names = dispatchers.map(({ config: { name } }) => name)
  const shown = [...names.slice(0, shownNames), ...(names.length > shownNames ? ['…'] : [])]
  throw new RangeError(
    `there is no ${noun} ${named} of ${config.kind} ${config.name}; ${shown.length > 0 ? `there are ${shown.join(', ')}` : 'there is none at all'}`,
  )
}

const shownNames = 10

/** Undefined = it was taken; else why not. */
async function deliver(
  channel: Channel,
  { sequence, stored }: { readonly sequence: number; readonly stored: StoredEvent },
  config: SubscriptionConfig,
  { sender, signal, clock, journal }: AgainDeps,
): Promise<string | undefined> {
  const { subscriber } = config
  if (!subscriber) return 'the subscriber does not resolve at the moment'
  const startMs = clock.monotonic()
  const note = (result: { readonly status?: number; readonly error?: string }) =>
    journal({
      channel: channel.config.uid,
      sequence,
      subscription: config.uid,
      atMs: clock.now(),
      kind: 'attempt',
      phase: 'replay',
      url: subscriber.url,
      tookMs: clock.monotonic() - startMs,
      ...result,
    })
  try {
    const { timeoutMs } = config.delivery
    const { status, body } = await sender.send(subscriber, toSubscriber(stored, config), {
      signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
    const complaint = status < 300 ? undefined : complaintOf(body)
    note({ status, ...(complaint !== undefined && { error: complaint }) })
    if (status >= 200 && status < 300) return undefined
    return `answered ${status}${complaint === undefined ? '' : ` ${JSON.stringify(complaint)}`}`
  } catch (error) {
    if (!(error instanceof SendError)) throw error
    note({ error: error.message })
    return error.message
  }
}

/** Sends dead letters again to whom they were meant for; those that are taken are dealt with. */
export async function redrive(
  channel: Channel,
  wanted: (letter: DeadLetter) => boolean,
  deps: AgainDeps,
): Promise<ReplayResult> {
  let selected = 0
  let delivered = 0
  let failed = 0
  const failures: SendFailure[] = []
  for await (const letter of channel.deadLetters.list()) {
    if (deps.signal.aborted) break
    if (!wanted(letter)) continue
    selected++
    if (deps.dryRun) continue
    const config = channel.dispatchers.find(
      ({ config }) => config.uid === letter.subscription,
    )?.config
    const reason = config
      ? await deliver(channel, letter, config, deps)
      : 'its Trigger or Subscription is gone: replay the event to another, or discard the dead letter'
    if (reason === undefined) {
      delivered++
      settleLetter(channel, letter, 'done', deps)
    } else {
      failed++
      const { sequence, number } = letter
      if (failures.length < maxFailures) failures.push({ sequence, number, reason })
    }
    deps.progress?.({ delivered, failed })
  }
  return { selected, delivered, failures }
}

/** Lets dead letters go; answers how many. */
export async function discard(
  channel: Channel,
  wanted: (letter: DeadLetter) => boolean,
  deps: Pick<AgainDeps, 'clock' | 'journal'>,
): Promise<ReplayResult> {
  let selected = 0
  for await (const letter of channel.deadLetters.list()) {
    if (!wanted(letter)) continue
    selected++
    settleLetter(channel, letter, 'discarded', deps)
  }
  return { selected, delivered: 0, failures: [] }
}

function settleLetter(
  channel: Channel,
  { number, sequence, subscription }: DeadLetter,
  kind: 'done' | 'discarded',
  { clock, journal }: Pick<AgainDeps, 'clock' | 'journal'>,
): void {
  channel.deadLetters.settle(number)
  journal({ channel: channel.config.uid, sequence, subscription, atMs: clock.now(), kind })
}

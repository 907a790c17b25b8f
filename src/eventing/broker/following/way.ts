/**
 * The way of one event through its channel: what became of it at each subscription, from the log, the filters as they are
 * now, and what was noted of attempts.
 */
import type { LoggedEvent } from '../../log/event-log.ts'
import type { Channel } from '../channel.ts'
import type { Refusal } from '../delivery/filters.ts'
import type { StoredEvent } from '../stored-event.ts'
import { parentOf, spanOf, traceIdOf } from '../trace.ts'
import type { Step } from './journal.ts'
import { replayUid } from './replay.ts'
import { seen, type SeenEvent } from './selection.ts'

/** What became of an event at one subscription. */
export interface Fate {
  readonly uid: string
  readonly namespace: string
  readonly name: string
  /** Of its deliveries: events that came of them have it as `parent`. */
  readonly span: string
  /** Where it goes; absent while that does not resolve. */
  readonly subscriber?: string
  /**
   * `refused`: its filter did not want it; `before`: it came before the subscription was there; `waiting`: not begun;
   * `trying`: not done with; `done`; `parked`: a dead letter; `discarded`: one that was let go.
   */
  readonly state: 'refused' | 'before' | 'waiting' | 'trying' | 'done' | 'parked' | 'discarded'
  /** The subscription is not there any more: this is what was noted of it, and its name is unknown. */
  readonly gone?: true
  /** The term of the filter that was false, by the filter as it is now. */
  readonly refusal?: Refusal
  readonly steps: readonly Step[]
}

export interface Way extends SeenEvent {
  readonly channel: {
    readonly uid: string
    readonly kind: string
    readonly namespace: string
    readonly name: string
  }
  /** The trace it belongs to, and the span that it came of. */
  readonly trace: { readonly id: string; readonly parent?: string }
  readonly fates: readonly Fate[]
}

/** What became of one event; `steps` are those of its channel and sequence. */
export function wayOf(
  channel: Channel,
  logged: LoggedEvent,
  stored: StoredEvent,
  steps: readonly Step[],
): Way {
  const { kind, namespace, name } = channel.config
  const place = { channel: channel.config.uid, sequence: logged.sequence }
  const fates = channel.dispatchers.map((dispatcher): Fate => {
    const { uid, namespace, name, subscriber, createdMs } = dispatcher.config
    const own = steps.filter(({ subscription }) => subscription === uid)
    const refusal = dispatcher.refusal(stored.event)
    const untouched = () => {
      if (createdMs !== undefined && logged.timeMs < createdMs) return 'before'
      if (refusal) return 'refused'
      return dispatcher.isSettled(logged.sequence) ? 'done' : 'waiting'
    }
    return {
      uid,
      namespace,
      name,
      span: spanOf(place, uid),
      ...(subscriber && { subscriber: subscriber.url }),
      state: stateAfter(own) ?? untouched(),
      ...(refusal && { refusal }),
      steps: own,
    }
  })
  const known = new Set(fates.map(({ uid }) => uid))
  for (const [uid, own] of Map.groupBy(steps, ({ subscription }) => subscription))
    if (!known.has(uid))
      fates.push({
        uid,
        namespace,
        ...(uid === replayUid ? { name: 'replay' } : { name: '', gone: true }),
        span: spanOf(place, uid),
        state: stateAfter(own) ?? 'done',
        steps: own,
      })
  const parent = parentOf(stored.trace)
  return {
    ...seen(logged, stored),
    channel: { uid: channel.config.uid, kind, namespace, name },
    trace: {
      id: traceIdOf(place, stored.trace),
      ...(parent !== undefined && { parent }),
    },
    fates,
  }
}

/** By what was noted last of its own deliveries; undefined = there was none. */
function stateAfter(steps: readonly Step[]): Fate['state'] | undefined {
  const last = steps.findLast(({ phase }) => phase !== 'replay')
  if (!last) return undefined
  const { kind } = last
  return kind === 'done' || kind === 'parked' || kind === 'discarded' ? kind : 'trying'
}

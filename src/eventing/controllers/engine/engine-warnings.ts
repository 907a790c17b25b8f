/**
 * Tells what the event engine warns of, in Kubernetes Events on the objects that it concerns: a person who looks at a
 * Trigger whose subscriber is gone for days sees it before senders are refused.
 */
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { ControllerDeps } from '../../../kube/controller/loop.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { Trigger } from '../../api/eventing/trigger.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import type { EngineWarning } from '../../broker/feed.ts'
import { nowAndThen } from '../now-and-then.ts'

const everyMs = 30_000
/** What does not change is told again so often: Events are forgotten after an hour. */
const againMs = 1_800_000
/** In one look. */
const mostAtOnce = 100

const kinds: Readonly<Record<EngineWarning['kind'], Kind>> = {
  Broker,
  Channel: InMemoryChannel,
  Trigger,
  Subscription,
}

/** `ask` answers what the engine warns of now; it is called while there are Brokers or channels. */
export function startEngineWarnings(
  { informers, recorder, clock, log }: ControllerDeps,
  ask: (signal: AbortSignal) => Promise<readonly EngineWarning[]>,
): AsyncDisposable {
  const read = informers.reader()
  for (const kind of Object.values(kinds)) informers.for<KubeObject>(kind)
  /** When each was told last, by object, reason and message. */
  let told: ReadonlyMap<string, number> = new Map()
  const look = async (signal: AbortSignal) => {
    if ([Broker, InMemoryChannel].every((kind: Kind) => read.list(kind, '').length === 0)) return
    const now = clock.monotonic()
    const next = new Map<string, number>()
    for (const { uid, kind, namespace, name, reason, message } of (await ask(signal)).slice(
      0,
      mostAtOnce,
    )) {
      const key = `${uid} ${reason} ${message}`
      const toldMs = told.get(key)
      if (toldMs !== undefined && now < toldMs + againMs) {
        next.set(key, toldMs)
        continue
      }
      const about = read.get(kinds[kind], { namespace, name })
      if (about?.metadata.uid !== uid) continue
      next.set(key, now)
      recorder.event(about, { type: 'Warning', reason, message }, { component: 'event-engine' })
    }
    told = next
  }
  return nowAndThen(clock, everyMs, look, (error) =>
    log.debug('the event engine does not say what it warns of', { error }),
  )
}

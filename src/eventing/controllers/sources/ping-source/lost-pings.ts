/**
 * Tells of PingSources whose events did not reach their sinks, in Kubernetes Events on them, as Knative's adapter does
 * (knative.dev/eventing `pkg/adapter/v2/util/crstatusevent`). The engine's process sends, and is asked.
 */
import type { Kind } from '../../../../kube/api/kind.ts'
import type { KubeObject } from '../../../../kube/api/meta.ts'
import type { ControllerDeps } from '../../../../kube/controller/loop.ts'
import { CronJobSource } from '../../../api/former/former-sources.ts'
import { PingSource } from '../../../api/sources/ping-source.ts'
import type { LostEvents } from '../../../broker/feed.ts'
import { nowAndThen } from '../../now-and-then.ts'

const everyMs = 5_000
const kinds: readonly Kind[] = [PingSource, CronJobSource]

/** `ask` answers what was lost since it was called last; it is called while there are such sources. */
export function startLostPings(
  { informers, recorder, clock, log }: ControllerDeps,
  ask: (signal: AbortSignal) => Promise<readonly LostEvents[]>,
): AsyncDisposable {
  const read = informers.reader()
  for (const kind of kinds) informers.for<KubeObject>(kind)
  const look = async (signal: AbortSignal) => {
    if (kinds.every((kind) => read.list(kind, '').length === 0)) return
    for (const { uid, namespace, name, count, reason } of await ask(signal)) {
      const source = kinds
        .map((kind) => read.get(kind, { namespace, name }))
        .find((each) => each?.metadata.uid === uid)
      if (!source) continue
      const lost = count === 1 ? 'an event was' : `${count} events were`
      const message = `${lost} not delivered: ${reason}`
      const event = { type: 'Warning', reason: 'EventLost', message } as const
      recorder.event(source, event, { component: 'pingsource-controller' })
    }
  }
  return nowAndThen(clock, everyMs, look, (error) =>
    log.debug('the event engine does not say what was lost', { error }),
  )
}

/**
 * Sends an event of a source to its sink: tried again a few times as Knative's receive adapters do, then let go of,
 * with the reason (knative.dev/eventing `pkg/adapter/v2`). What must outlast a sink that is away goes through a Broker
 * or a Channel.
 */
import { sleep, type Clock } from '../../lib/clock.ts'
import type { CloudEvent } from '../cloudevents/cloud-event.ts'
import { encodeBinary } from '../cloudevents/http-binding.ts'
import type { Destination } from '../broker/feed.ts'
import { SendError, type Sender } from '../broker/delivery/sender.ts'

export interface EmitDeps {
  readonly sender: Sender
  readonly clock: Clock
  readonly signal: AbortSignal
}

export type Outcome =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'lost'; readonly reason: string }

/** Before each further attempt. */
const waitsMs = [100, 200, 400, 800, 1_600]
/** No answer, or one that speaks of the moment. */
const passing = new Set([404, 413, 425, 429, 502, 503, 504])
/** Of one attempt; a sink that hangs does not hold a source for ever. */
const attemptMs = 60_000

/** Never rejects. Resolves as lost, too, when `signal` aborts. */
export async function emit(
  event: CloudEvent,
  namespace: string,
  to: Destination,
  { sender, clock, signal }: EmitDeps,
): Promise<Outcome> {
  const { headers, body } = encodeBinary(event)
  const message = { headers: [...headers, ['kn-namespace', namespace] as const], body }
  for (let attempt = 0; ; attempt++) {
    const reason = await once()
    if (reason === undefined) return { kind: 'accepted' }
    const waitMs = waitsMs[attempt]
    if (!reason.passing || waitMs === undefined || signal.aborted)
      return { kind: 'lost', reason: reason.text }
    await sleep(clock, waitMs, signal)
  }

  async function once(): Promise<{ text: string; passing: boolean } | undefined> {
    try {
      const { status } = await sender.send(to, message, { timeoutMs: attemptMs, signal })
      if (status >= 200 && status < 300) return undefined
      return { text: `${to.url} answered ${status}`, passing: passing.has(status) }
    } catch (error) {
      if (error instanceof SendError) return { text: error.message, passing: true }
      return { text: error instanceof Error ? error.message : 'unknown', passing: false }
    }
  }
}

/**
 * Runs a container's probes again and again and says when an answer changes: thresholds, periods and delays as in
 * Kubernetes. A readiness probe with period 0 is eager, as Knative's queue-proxy probes: every few milliseconds until
 * the first success, once a second from then on.
 */
import type { Clock } from '../../../lib/clock.ts'
import { randomInt, type Random } from '../../../lib/random.ts'
import type { ProbeDefinition, ProbeResult } from './probe.ts'

export type ProbeKind = 'Readiness' | 'Liveness' | 'Startup'

export interface ProberOptions {
  readonly kind: ProbeKind
  readonly probe: ProbeDefinition
  readonly clock: Clock
  readonly random: Random
  /** One attempt. */
  readonly attempt: (timeoutMs: number) => Promise<ProbeResult>
  /** The answer passed its threshold. For liveness and startup a failure is reported once. */
  readonly onChange: (success: boolean, output: string) => void
  /** A single failed attempt: an `Unhealthy` event. Of eager attempts before the first success only a few are told. */
  readonly onFailure: (output: string) => void
  /** How many programs are coming up at the moment; an eager search leaves them the processor. */
  readonly others?: () => number
  /** How quickly a program like this one has come up before, in milliseconds; an eager search begins shortly before. */
  readonly quickestMs?: number | undefined
  /** The answer when probing begins; a readiness that was known before a restart of the node agent. */
  readonly initially?: boolean
  /** With `initially`: the first look is now. Without it there may be a period until then. */
  readonly atOnce?: boolean
}

/** Until the first success of an eager probe: intervals grow from the first to the second. */
const eagerFirstMs = 2
const eagerLastMs = 50
/** So much a program that is coming up, if that is more: looking at many must not keep them from it. */
const eagerShareMs = 1
/** An interval is this part of the time since the first look, so that looking costs a program a fixed part of its start. */
const eagerPart = 1 / 20
/** No look before this part of the quickest start that was seen, and never so late for it. */
const headStart = 0.7
const longestHeadStartMs = 30
const eagerTimeoutMs = 300
const steadyPeriodMs = 1_000
/** An eager search that goes on this long is worth telling, and again after the usual period of a probe. */
const eagerSilenceMs = 1_000
const eagerToldMs = 10_000

/** Begins probing; disposing ends it, and no callback comes afterwards. */
export function startProber(options: ProberOptions): Disposable {
  const { kind, probe, clock, random, attempt } = options
  const eager = kind === 'Readiness' && !probe.periodSeconds
  const periodMs = eager ? steadyPeriodMs : (probe.periodSeconds ?? 10) * 1000
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000
  const successThreshold = probe.successThreshold ?? 1
  const failureThreshold = probe.failureThreshold ?? 3
  let stopped = false
  let cancel = () => {}
  let known: boolean | undefined = options.initially
  let inARow = 0
  let last: boolean | undefined
  let attempts = 0
  const sinceMs = clock.monotonic()
  let tellAtMs = sinceMs + eagerSilenceMs

  const searching = () => eager && known !== true && attempts > 0
  const schedule = (delayMs: number) => {
    if (!stopped) cancel = clock.after(delayMs, () => void look())
  }

  async function look(): Promise<void> {
    attempts++
    const hurried = eager && known === undefined
    const output = await attempt(hurried ? Math.min(timeoutMs, eagerTimeoutMs) : timeoutMs)
    if (stopped) return
    const success = output === undefined
    inARow = success === last ? inARow + 1 : 1
    last = success
    if (!success && (!hurried || clock.monotonic() >= tellAtMs)) {
      tellAtMs = clock.monotonic() + eagerToldMs
      options.onFailure(output)
    }
    const threshold = success
      ? successThreshold
      : hurried
        ? Number.POSITIVE_INFINITY
        : failureThreshold
    if (inARow >= threshold && known !== success) {
      known = success
      options.onChange(success, output ?? '')
    } else if (!success && inARow >= threshold && kind !== 'Readiness')
      options.onChange(false, output)
    if (!stopped) schedule(nextDelay(success))
  }

  function nextDelay(success: boolean): number {
    if (!searching()) return periodMs
    if (success) return 0 // towards a success threshold above one
    const shareMs = (options.others?.() ?? 0) * eagerShareMs
    const grownMs = Math.min((clock.monotonic() - sinceMs) * eagerPart, eagerLastMs)
    return Math.max(eagerFirstMs, shareMs, grownMs)
  }

  const delayMs = (probe.initialDelaySeconds ?? 0) * 1000
  // Kubernetes spreads probes over a period after a restart of the node agent, and begins at once otherwise.
  if (options.initially !== undefined && options.atOnce) void look()
  else if (options.initially !== undefined && delayMs === 0) schedule(randomInt(random, periodMs))
  else if (delayMs > 0) schedule(delayMs)
  else if (eager && options.quickestMs !== undefined)
    schedule(Math.min(options.quickestMs * headStart, longestHeadStartMs))
  else void look()

  return {
    [Symbol.dispose]() {
      stopped = true
      cancel()
    },
  }
}

/**
 * The probes of one running container: startup first, then readiness and liveness. Says what they found; what follows
 * from it is the worker's business.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Random } from '../../../lib/random.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { runProbe, ProbeDefinition, ProbeTarget } from './probe.ts'
import { startProber, type ProbeKind } from './prober.ts'

export interface ContainerProbesOptions {
  readonly definition: ContainerDefinition
  readonly target: ProbeTarget
  readonly clock: Clock
  readonly random: Random
  /** How many programs are coming up at the moment: the more, the longer between two looks at each. */
  readonly eagerProbes?: () => number
  /** How quickly a program like this one has come up before. */
  readonly quickestMs?: number | undefined
  /** One attempt of a probe. */
  readonly probe: typeof runProbe
  /** True: the startup probe has succeeded before, or there is none. */
  readonly started: boolean
  /** What the readiness probe had found before a restart of the node agent; undefined = nothing yet. */
  readonly wasReady: boolean | undefined
  /** What was found before is looked after at once: the container was stopped since. */
  readonly atOnce?: boolean
  /** The startup probe has succeeded; readiness and liveness are probed from now on. */
  readonly onStarted: () => void
  readonly onReady: (ready: boolean) => void
  /** The first attempt of the readiness probe is made. */
  readonly onProbe?: () => void
  /** The liveness or startup probe has failed for good: the container is to be restarted. */
  readonly onFailed: (kind: 'liveness' | 'startup', probe: ProbeDefinition) => void
  /** Any single failure worth an event. */
  readonly onUnhealthy: (kind: ProbeKind, output: string) => void
}

/** Starts probing; disposing ends it. */
export function startContainerProbes(options: ContainerProbesOptions): Disposable {
  const { definition, wasReady } = options
  const { startupProbe, readinessProbe, livenessProbe } = definition
  const probers: Disposable[] = []
  const stop = () => {
    for (const prober of probers.splice(0)) prober[Symbol.dispose]()
  }
  const probe = (
    kind: ProbeKind,
    wanted: ProbeDefinition,
    initially: boolean | undefined,
    onChange: (success: boolean) => void,
  ) =>
    probers.push(
      startProber({
        kind,
        probe: wanted,
        clock: options.clock,
        random: options.random,
        attempt: (timeoutMs) => options.probe(wanted, timeoutMs, options.target),
        onChange,
        ...(options.eagerProbes && { others: options.eagerProbes }),
        quickestMs: options.quickestMs,
        onFailure: (output) => options.onUnhealthy(kind, output),
        ...(initially !== undefined && { initially }),
        ...(options.atOnce && { atOnce: true }),
      }),
    )
  const probeRunning = (ready: boolean | undefined) => {
    options.onProbe?.()
    if (readinessProbe) probe('Readiness', readinessProbe, ready, options.onReady)
    if (livenessProbe)
      probe('Liveness', livenessProbe, ready === undefined ? undefined : true, (alive) => {
        if (!alive) options.onFailed('liveness', livenessProbe)
      })
  }
  if (startupProbe && !options.started)
    probe('Startup', startupProbe, undefined, (success) => {
      if (!success) return options.onFailed('startup', startupProbe)
      stop()
      probeRunning(undefined)
      options.onStarted()
    })
  else probeRunning(wasReady)
  return { [Symbol.dispose]: stop }
}

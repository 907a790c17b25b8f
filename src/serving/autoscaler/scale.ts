/**
 * What the KPA reconciler does with a decision: bounds, the protocol of scaling to zero, the Active condition, whether
 * the activator stays in the path. Pure; follows Knative's `kpa/scaler.go` and `kpa/kpa.go` in behaviour.
 */

export type Reachability = '' | 'Reachable' | 'Unreachable'
export type ActiveStatus = 'True' | 'False' | 'Unknown'

/** The autoscaler has no wish (yet). */
export const scaleUnknown = -1

/** Added to the progress deadline before an activation counts as failed. */
const activationBufferMs = 30_000
/** A revision that is idle behind the activator is looked at again after this. */
const idleRequeueMs = 3_000

export interface ScaleBounds {
  readonly min: number
  /** 0 = unlimited. */
  readonly max: number
}

/** `min-scale` counts only while traffic can reach the revision. */
const effectiveBounds = (bounds: ScaleBounds, reachability: Reachability): ScaleBounds =>
  reachability === 'Unreachable' ? { ...bounds, min: 0 } : bounds

/** `count` within bounds. */
export function clampScale(count: number, { min, max }: ScaleBounds): number {
  if (count < min) return min
  return max > 0 && count > max ? max : count
}

/** What the scale step depends on. Times are wall-clock milliseconds. */
export interface ScaleWorld {
  /** The autoscaler's wish; -1 = none. */
  readonly desired: number
  /** As annotated or configured, before reachability. */
  readonly bounds: ScaleBounds
  readonly initialScale: number
  /** Status condition ScaleTargetInitialized is True. */
  readonly initialized: boolean
  readonly reachability: Reachability
  /** Status condition Active as stored; a missing one is Unknown since now. */
  readonly active: { readonly status: ActiveStatus; readonly sinceMs: number }
  readonly enableScaleToZero: boolean
  readonly stableWindowMs: number
  readonly scaleToZeroGracePeriodMs: number
  readonly scaleToZeroPodRetentionMs: number
  readonly progressDeadlineMs: number
  readonly targetBurstCapacity: number
  /** `spec.mode` of the ServerlessService, if there is one. */
  readonly mode?: ServerlessMode
  /** Since when its ActivatorEndpointsPopulated is True, if it is. */
  readonly activatorBackedSinceMs?: number
  /** Outcome of the last probe asked for; absent when none was made since then. */
  readonly probe?: 'succeeded' | 'failed'
}

export interface ScaleStep {
  /** Replicas the Deployment must have; absent = leave it alone. */
  readonly apply?: number
  /** What counts as wanted for the conditions and the mode; -1 = unknown. */
  readonly want: number
  /** Look again after this long. */
  readonly requeueAfterMs?: number
  /** Ask the gateway whether it answers for this revision, then decide again with the outcome. */
  readonly probe?: true
}

export function scaleStep(world: ScaleWorld, nowMs: number): ScaleStep {
  const activating = world.active.status === 'Unknown'
  if (world.desired < 0 && !activating) return { want: world.desired }
  const unreachable = world.reachability === 'Unreachable'
  let bounds = effectiveBounds(world.bounds, world.reachability)
  if (world.initialScale > 1 && !world.initialized && !unreachable)
    bounds = { ...bounds, min: Math.max(bounds.min, world.initialScale) }
  const desired = clampScale(world.desired, bounds)
  return desired > 0 ? { apply: desired, want: desired } : toZero(world, nowMs)
}

function toZero(world: ScaleWorld, nowMs: number): ScaleStep {
  if (!world.enableScaleToZero) return { apply: 1, want: 1 }
  const forMs = nowMs - world.active.sinceMs
  switch (world.active.status) {
    case 'Unknown': {
      const limitMs = world.progressDeadlineMs + activationBufferMs
      if (forMs > limitMs) return { apply: 0, want: 0 }
      return { want: scaleUnknown, requeueAfterMs: limitMs - forMs + 1 }
    }
    case 'True':
      if (forMs < world.stableWindowMs)
        return { apply: 1, want: 1, requeueAfterMs: world.stableWindowMs - forMs }
      // Only becomes inactive now; the pods go once requests are sure to be held.
      return world.mode === 'Proxy' ? { want: 0, requeueAfterMs: idleRequeueMs } : { want: 0 }
    case 'False':
      return inactiveToZero(world, forMs, nowMs)
  }
}

function inactiveToZero(world: ScaleWorld, inactiveMs: number, nowMs: number): ScaleStep {
  if (world.targetBurstCapacity !== -1 && world.probe !== 'succeeded')
    return { want: 0, probe: true, ...(world.probe === 'failed' && { requeueAfterMs: 1_000 }) }
  const graceMs = world.scaleToZeroGracePeriodMs
  const retentionMs = world.reachability === 'Unreachable' ? 0 : world.scaleToZeroPodRetentionMs
  const limitMs = Math.max(graceMs, retentionMs)
  if (inactiveMs >= limitMs) return { apply: 0, want: 0 }
  if (inactiveMs < retentionMs) return { want: 0, requeueAfterMs: retentionMs - inactiveMs }
  const backedMs =
    world.activatorBackedSinceMs === undefined ? 0 : nowMs - world.activatorBackedSinceMs
  if (backedMs >= graceMs) return { apply: 0, want: 0 }
  return { want: 0, requeueAfterMs: Math.min(graceMs - backedMs, limitMs - inactiveMs) }
}

/** Ready pods that make a revision active: all that it starts with at first, later its minimum but at least one. */
export function activeThreshold(world: {
  readonly bounds: ScaleBounds
  readonly initialScale: number
  readonly initialized: boolean
  readonly reachability: Reachability
}): number {
  const { min } = effectiveBounds(world.bounds, world.reachability)
  return Math.max(min, world.initialized ? 1 : world.initialScale)
}

export type ActiveCondition =
  | { readonly status: 'True' }
  | { readonly status: 'Unknown' | 'False'; readonly reason: string; readonly message: string }

const noTraffic: ActiveCondition = {
  status: 'False',
  reason: 'NoTraffic',
  message: 'The target is not receiving traffic.',
}
const timedOut: ActiveCondition = {
  status: 'False',
  reason: 'TimedOut',
  message: 'The target could not be activated.',
}
const queued: ActiveCondition = {
  status: 'Unknown',
  reason: 'Queued',
  message: 'Requests to the target are being buffered as resources are provisioned.',
}

/** The PodAutoscaler's Active condition; undefined = stays as it is. `threshold` is `activeThreshold`'s. */
export function activeCondition(seen: {
  readonly readyPods: number
  readonly want: number
  readonly threshold: number
  readonly active: ActiveStatus
}): ActiveCondition | undefined {
  const { readyPods, want, threshold, active } = seen
  if (want === 0 || threshold === 0)
    return active === 'Unknown' && threshold > 0 ? timedOut : noTraffic
  const wanted = want > 0 || active !== 'False'
  if (readyPods < threshold) return wanted ? queued : noTraffic
  return wanted ? { status: 'True' } : undefined
}

export type ServerlessMode = 'Serve' | 'Proxy'

/** Whether the activator is in the path of requests. */
export function serverlessMode(
  want: number,
  excessBurstCapacity: number,
  active: ActiveStatus,
): ServerlessMode {
  const atZero = want === 0 || (want === scaleUnknown && active === 'False')
  return atZero || excessBurstCapacity < 0 ? 'Proxy' : 'Serve'
}

/** How many activators a revision is spread over. */
export function numActivators(seen: {
  readonly readyPods: number
  /** Capacity of one pod: `totalValue` of its spec. */
  readonly totalValue: number
  readonly targetBurstCapacity: number
  readonly activatorCapacity: number
}): number {
  if (seen.targetBurstCapacity === 0) return 2
  const capacity = seen.readyPods * seen.totalValue + Math.max(0, seen.targetBurstCapacity)
  return Math.max(2, Math.ceil(capacity / seen.activatorCapacity))
}

/** `status.desiredScale`: an autoscaler that has just started and knows nothing does not overwrite what is stored. */
export const reportedDesiredScale = (want: number, stored: number | undefined): number =>
  want === scaleUnknown && stored !== undefined && stored >= 0 ? stored : want

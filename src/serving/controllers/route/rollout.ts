/**
 * Gradual rollout of the latest revision: traffic moves to it in steps over a given time, pure and without memory: the
 * state is JSON in an annotation of the KIngress, so any control plane can go on with it. Upstream:
 * pkg/reconciler/route/traffic/rollout.go. Times in the state are nanoseconds, as old state has them.
 */

interface RevisionShare {
  readonly revisionName: string
  readonly percent: number
}

interface StepParams {
  /** When the newest revision appeared, ns since the epoch. */
  readonly starttime?: number
  readonly nextStepTime?: number
  readonly stepDuration?: number
  /** Percent moved in one step. */
  readonly stepSize?: number
}

/** One configuration target of one traffic group; `revisions` run from the oldest to the newest. */
interface ConfigurationRollout {
  readonly configurationName: string
  readonly tag?: string
  readonly percent: number
  readonly revisions: readonly RevisionShare[]
  readonly stepParams: StepParams
}

export interface Rollout {
  readonly configurations: readonly ConfigurationRollout[]
}

const nsPerMs = 1_000_000
const nsPerSecond = 1_000_000_000

/** True when every target has reached its newest revision. */
export const isDone = (rollout: Rollout): boolean =>
  rollout.configurations.every(({ revisions }) => revisions.length < 2)

/** The annotation's text. */
export const rolloutText = (rollout: Rollout): string =>
  JSON.stringify(rollout.configurations.length === 0 ? {} : rollout)

/** Reads the annotation; a state that is broken or does not add up is as good as none. */
export function parseRollout(text: string | undefined): Rollout | undefined {
  if (!text) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(value)) return undefined
  const list = value['configurations'] ?? []
  if (!Array.isArray(list)) return undefined
  const configurations: ConfigurationRollout[] = []
  for (const item of list) {
    const read = readConfiguration(item)
    if (!read) return undefined
    configurations.push(read)
  }
  return { configurations }
}

function readConfiguration(item: unknown): ConfigurationRollout | undefined {
  if (!isRecord(item)) return undefined
  const { configurationName, tag = '', percent, revisions = [], stepParams = {} } = item
  if (typeof configurationName !== 'string' || typeof tag !== 'string') return undefined
  if (typeof percent !== 'number' || !(percent >= 0 && percent <= 100)) return undefined
  if (!Array.isArray(revisions) || !isRecord(stepParams)) return undefined
  const shares: RevisionShare[] = []
  let total = 0
  for (const share of revisions) {
    if (!isRecord(share)) return undefined
    const { revisionName, percent: part } = share
    if (typeof revisionName !== 'string' || typeof part !== 'number' || !(part >= 0))
      return undefined
    shares.push({ revisionName, percent: part })
    total += part
  }
  if (total !== percent) return undefined
  const params: Record<string, number> = {}
  for (const key of ['starttime', 'nextStepTime', 'stepDuration', 'stepSize']) {
    const number = stepParams[key]
    if (typeof number === 'number' && number !== 0) params[key] = number
  }
  const stepSize = params['stepSize'] ?? 0
  if (stepSize < 0 || stepSize > percent) return undefined
  return {
    configurationName,
    ...(tag && { tag }),
    percent,
    revisions: shares,
    stepParams: params,
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Once the data plane routes to a new revision (its first percent), the pace is known: the time that took is the
 * shortest useful step. `durationSeconds` is the length asked for. Entries that have a pace keep it.
 */
export function observeReady(rollout: Rollout, nowMs: number, durationSeconds: number): Rollout {
  return {
    configurations: rollout.configurations.map((entry) => {
      const { starttime = 0, stepDuration = 0 } = entry.stepParams
      if (starttime <= 0 || stepDuration !== 0) return entry
      return { ...entry, stepParams: pace(entry, starttime, nowMs, durationSeconds) }
    }),
  }
}

function pace(
  { percent }: ConfigurationRollout,
  starttime: number,
  nowMs: number,
  durationSeconds: number,
): StepParams {
  const nowNs = nowMs * nsPerMs
  const firstStepSeconds = Math.max(1, Math.ceil((nowNs - starttime) / nsPerSecond - 1e-6))
  const restSeconds = Math.max(1, durationSeconds - firstStepSeconds)
  let steps = Math.max(1, restSeconds / firstStepSeconds)
  // The first percent has moved already.
  const left = Math.max(1, percent - 1)
  if (left < steps) steps = left
  const stepDuration = Math.round((restSeconds / steps) * nsPerSecond)
  return {
    starttime,
    nextStepTime: nowNs + stepDuration,
    stepDuration,
    stepSize: Math.round(left / steps),
  }
}

/**
 * Where traffic stands now: `current` is what the Route wants (each target wholly on its latest revision), `previous`
 * what the annotation says. Answers the new state and when to look again.
 */
export function advance(
  current: Rollout,
  previous: Rollout | undefined,
  nowMs: number,
): { readonly rollout: Rollout; readonly nextStepMs?: number } {
  const configurations: ConfigurationRollout[] = []
  let nextNs = Number.POSITIVE_INFINITY
  for (const entry of current.configurations) {
    if (entry.percent === 0) continue
    const before = previous?.configurations.find(
      (old) =>
        old.configurationName === entry.configurationName && (old.tag ?? '') === (entry.tag ?? ''),
    )
    const next = before ? merge(entry, before, nowMs * nsPerMs) : entry
    configurations.push(next)
    const { nextStepTime = 0 } = next.stepParams
    // A time that has passed without a step belongs to a state that has no pace.
    if (nextStepTime > nowMs * nsPerMs) nextNs = Math.min(nextNs, nextStepTime)
  }
  const rollout = { configurations }
  return Number.isFinite(nextNs) ? { rollout, nextStepMs: nextNs / nsPerMs } : { rollout }
}

function merge(
  current: ConfigurationRollout,
  previous: ConfigurationRollout,
  nowNs: number,
): ConfigurationRollout {
  const newest = current.revisions.at(-1)
  if (!newest || current.percent === 1) return current
  const revisions = withPercent(previous, current.percent)
  if (revisions.length === 0) return current
  if (revisions.at(-1)?.revisionName === newest.revisionName)
    return step({ ...current, revisions, stepParams: fitted(previous, current.percent) }, nowNs)
  return begin(current, revisions, newest.revisionName, nowNs)
}

/** Fits the shares to a changed percentage: growth goes to the newest, what shrinks goes from the oldest. */
function withPercent(
  { revisions, percent }: ConfigurationRollout,
  wanted: number,
): readonly RevisionShare[] {
  const shares = revisions.map((share) => ({ ...share }))
  let change = wanted - percent
  const newest = shares.at(-1)
  if (change > 0 && newest) newest.percent += change
  for (const share of shares) {
    if (change >= 0) break
    const taken = Math.min(share.percent, -change)
    share.percent -= taken
    change += taken
  }
  return shares.filter((share) => share.percent > 0)
}

/** A step is never larger than the target's whole percentage: a state that says so would not be believed again. */
const fitted = ({ stepParams }: ConfigurationRollout, percent: number): StepParams =>
  (stepParams.stepSize ?? 0) > percent ? { ...stepParams, stepSize: percent } : stepParams

function step(entry: ConfigurationRollout, nowNs: number): ConfigurationRollout {
  if (entry.revisions.length < 2) return { ...entry, stepParams: {} }
  const { stepSize = 0, nextStepTime = 0, stepDuration = 0 } = entry.stepParams
  if (stepSize <= 0 || nowNs < nextStepTime) return entry
  const shares = entry.revisions.map((share) => ({ ...share }))
  const newest = shares.at(-1)
  let left = stepSize
  for (let i = shares.length - 2; i >= 0 && left > 0; i--) {
    const share = shares[i]
    if (!share || !newest) break
    const taken = Math.min(share.percent, left)
    share.percent -= taken
    newest.percent += taken
    left -= taken
  }
  const revisions = shares.filter((share) => share.percent > 0)
  if (revisions.length < 2) return { ...entry, revisions, stepParams: {} }
  return {
    ...entry,
    revisions,
    stepParams: { ...entry.stepParams, nextStepTime: nowNs + stepDuration },
  }
}

/**
 * A new latest revision starts with one percent, taken from the one that was newest before it. One that comes back
 * while it still has a share keeps that share, so that no revision is listed twice.
 */
function begin(
  entry: ConfigurationRollout,
  before: readonly RevisionShare[],
  revisionName: string,
  nowNs: number,
): ConfigurationRollout {
  const shares = before.map((share) => ({ ...share }))
  const giver = shares.findLast((share) => share.percent > 0)
  if (giver) giver.percent -= 1
  const kept = shares.find((share) => share.revisionName === revisionName)?.percent ?? 0
  const others = shares.filter((share) => share.percent > 0 && share.revisionName !== revisionName)
  return {
    ...entry,
    revisions: [...others, { revisionName, percent: kept + 1 }],
    stepParams: others.length > 0 ? { starttime: nowNs } : {},
  }
}

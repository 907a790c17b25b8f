/**
 * The numbers of a rollout, as pure functions over how many pods each ReplicaSet has and should have: how far the new
 * one may grow and the old ones must shrink, within surge and unavailability.
 */

/** What the arithmetic needs to know of a ReplicaSet. */
export interface Share {
  readonly name: string
  /** spec.replicas */
  readonly replicas: number
  /** status.availableReplicas */
  readonly available: number
  readonly createdMs: number
  /** Annotation `deployment.kubernetes.io/max-replicas`, 0 when it has none. */
  readonly annotatedMax: number
}

/** New sizes by ReplicaSet name; who is not in it stays as it is. */
export type Sizes = ReadonlyMap<string, number>

/** Replicas that a rolling update may have too many, and may lack. */
export interface Fences {
  readonly maxSurge: number
  readonly maxUnavailable: number
}

/** Percentages of `replicas`: surge is rounded up, unavailability down; both 0 would stand still, so 1 may be missing. */
export function fences(
  replicas: number,
  surge: number | string = '25%',
  unavailable: number | string = '25%',
): Fences {
  const maxSurge = Math.ceil(share(replicas, surge))
  const maxUnavailable = Math.floor(share(replicas, unavailable))
  if (maxSurge === 0 && maxUnavailable === 0) return { maxSurge, maxUnavailable: 1 }
  return { maxSurge, maxUnavailable: Math.min(maxUnavailable, replicas) }
}

function share(replicas: number, value: number | string): number {
  if (typeof value === 'number') return value
  const number = Number.parseFloat(value)
  if (!Number.isFinite(number)) return 0
  return value.endsWith('%') ? (replicas * number) / 100 : number
}

const total = (shares: readonly Share[]): number =>
  shares.reduce((sum, { replicas }) => sum + replicas, 0)

/** The size the newest ReplicaSet may have now, `current` being what it has (0 when it is yet to be made). */
export function newSize(
  current: number,
  others: readonly Share[],
  replicas: number,
  { maxSurge }: Fences,
): number {
  if (current > replicas) return replicas
  const room = replicas + maxSurge - (total(others) + current)
  return room <= 0 ? current : current + Math.min(room, replicas - current)
}

/** Sizes of the old ReplicaSets: first their pods that are not available go, then as many as availability allows. */
export function shrinkOld(
  old: readonly Share[],
  newest: Share,
  replicas: number,
  { maxUnavailable }: Fences,
): Sizes {
  const sizes = new Map<string, number>()
  if (total(old) === 0) return sizes
  const minAvailable = replicas - maxUnavailable
  let removable = total(old) + newest.replicas - minAvailable - (newest.replicas - newest.available)
  if (removable <= 0) return sizes
  const oldestFirst = old.toSorted((a, b) => a.createdMs - b.createdMs)
  const size = ({ name, replicas: now }: Share) => sizes.get(name) ?? now

  for (const each of oldestFirst) {
    const unhealthy = Math.max(0, each.replicas - each.available)
    const fewer = Math.min(removable, unhealthy)
    if (fewer > 0) sizes.set(each.name, each.replicas - fewer)
    removable -= fewer
  }
  const available = old.reduce((sum, each) => sum + each.available, 0) + newest.available
  let spare = available - minAvailable
  for (const each of oldestFirst) {
    const fewer = Math.min(size(each), Math.max(spare, 0))
    if (fewer > 0) sizes.set(each.name, size(each) - fewer)
    spare -= fewer
  }
  return sizes
}

/** Spreads a change of `replicas` over all active ReplicaSets of a rollout in proportion to their sizes. */
export function spread(active: readonly Share[], replicas: number, { maxSurge }: Fences): Sizes {
  const allowed = replicas > 0 ? replicas + maxSurge : 0
  let left = allowed - total(active)
  const sizes = new Map<string, number>()
  const growing = left > 0
  const biggestFirst = active.toSorted(
    (a, b) =>
      b.replicas - a.replicas ||
      (growing ? b.createdMs - a.createdMs : a.createdMs - b.createdMs) ||
      (a.name < b.name ? -1 : 1),
  )
  const whole = left
  for (const each of biggestFirst) {
    const wanted = fraction(each, replicas, maxSurge, total(active))
    const part = growing ? Math.min(Math.max(wanted, 0), left) : Math.max(Math.min(wanted, 0), left)
    sizes.set(each.name, each.replicas + (whole === 0 ? 0 : part))
    if (whole !== 0) left -= part
  }
  const [first] = biggestFirst
  if (first && left !== 0) sizes.set(first.name, Math.max(0, (sizes.get(first.name) ?? 0) + left))
  return sizes
}

/** How many more (or fewer) this one would have if it kept its part of the whole. */
function fraction(each: Share, replicas: number, maxSurge: number, now: number): number {
  if (replicas === 0) return -each.replicas
  const before = each.annotatedMax || now || 1
  return Math.round((each.replicas * (replicas + maxSurge)) / before) - each.replicas
}

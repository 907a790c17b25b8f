/**
 * Joins what three processes note of one waking into the waterfall of a request: the gateway says when the request came,
 * was granted and answered, the control plane when it woke, decided and started the pod. All times are
 * `Clock.monotonic`, which the processes of a machine share. Pure but for what it remembers, which is bounded.
 */
import type { ColdStartSpec } from '../../api/cold-start.ts'
import type { ColdRequest } from '../../gateway/feed.ts'

/** Steps of a revision's waking that are no pod's. */
export type RevisionStep = 'wake' | 'decision' | 'scaled' | 'endpoints'

/** Steps of a pod; those between `bound` and `alive`, and `thaw` and `resumed`, are the node agent's. */
export type PodStep =
  | 'created'
  | 'bound'
  | 'spawn'
  | 'started'
  | 'probe'
  | 'alive'
  | 'ready'
  | 'thaw'
  | 'resumed'

export interface Waterfall {
  /** Something happened to a revision (`namespace/name`) at `atMs` (Clock.monotonic). */
  revision(key: string, step: RevisionStep, atMs: number): void
  /** Something happened to a pod, known by its uid. */
  pod(uid: string, name: string, step: PodStep, atMs: number): void
  /** The whole way of a request. `nowMs` and `wallMs` are the same moment by both clocks. */
  join(request: ColdRequest, nowMs: number, wallMs: number): ColdStartSpec
}

/** Wakings and pods remembered, the oldest forgotten first. */
const capacity = 1_000

type Times<S extends string> = Partial<Record<S, number>>

interface PodTimes {
  readonly name: string
  readonly at: Times<PodStep>
}

export function createWaterfall(): Waterfall {
  const wakings = new Map<string, Times<RevisionStep>>()
  const pods = new Map<string, PodTimes>()

  return {
    revision(key, step, atMs) {
      const known = wakings.get(key)
      if (step !== 'wake') {
        // Pods that come or go without a waking are nobody's wait.
        if (known) known[step] ??= atMs
      } else if (!known || known.endpoints !== undefined) {
        wakings.delete(key)
        put(wakings, key, { wake: atMs })
      } // else: woken again because it takes long; the first time counts
    },
    pod(uid, name, step, atMs) {
      const known = pods.get(uid)
      if (!known) return put(pods, uid, { name, at: { [step]: atMs } })
      if (step === 'thaw') {
        delete known.at.ready
        delete known.at.resumed
        known.at.thaw = atMs
      } else known.at[step] ??= atMs
    },
    join(request, nowMs, wallMs) {
      const firstMs = request.monotonicMs ?? nowMs - (wallMs - request.atMs)
      return waterfallOf(request, firstMs, wakings.get(request.revision), pods.get(request.pod))
    },
  }
}

function put<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value)
  if (map.size <= capacity) return
  const oldest = map.keys().next()
  if (!oldest.done) map.delete(oldest.value)
}

/** The joined waterfall; `firstMs` is the first byte by the clock of the other steps. */
export function waterfallOf(
  { revision, steps, atMs }: ColdRequest,
  firstMs: number,
  waking: Times<RevisionStep> = {},
  pod: PodTimes = { name: '', at: {} },
): ColdStartSpec {
  const noted = { ...waking, ...pod.at }
  const since = Object.entries(noted)
    .map(([name, at]): [string, number] => [name, at - firstMs])
    .filter(([, at]) => at >= 0 && at <= steps.answered)
  const all = [['routed', steps.routed], ...since, ['granted', steps.granted]] satisfies [
    string,
    number,
  ][]
  const ordered = [
    ...all.toSorted(([, a], [, b]) => a - b),
    ['forwarded', steps.forwarded],
    ['answered', steps.answered],
  ] satisfies [string, number][]

  // Each boundary is where a part of the wait ends; what was over before the request came took none of its time.
  let before = 0
  const until = (atMs: number | undefined): number => {
    const end = Math.min(Math.max(atMs ?? before, before), steps.answered)
    const span = end - before
    before = end
    return round(span)
  }
  const at = (name: keyof typeof noted): number | undefined => {
    const time = noted[name]
    return time === undefined ? undefined : time - firstMs
  }
  const began = at('thaw') ?? at('spawn')
  const thawed = noted.thaw !== undefined && noted.thaw >= firstMs
  const spans = {
    totalMs: round(steps.answered),
    queueMs: until(at('wake')),
    decideMs: until(began),
    spawnMs: until(at('thaw') === undefined ? at('started') : at('resumed')),
    probeMs: until(at('thaw') === undefined ? at('alive') : undefined),
    forwardMs: until(steps.forwarded),
    answerMs: until(steps.answered),
  }
  return {
    revision: revision.slice(revision.indexOf('/') + 1),
    ...(pod.name && { pod: pod.name }),
    kind: thawed ? 'Thawed' : began !== undefined && began >= 0 ? 'Started' : 'Running',
    at: new Date(atMs).toISOString(),
    spans,
    steps: ordered.map(([name, time]) => ({ name, atMs: round(time) })),
  }
}

/** Microseconds are the finest that means anything across processes. */
const round = (ms: number): number => Math.round(ms * 1000) / 1000

/**
 * Hot path. A revision's admission: takes a slot of a ready pod for a request, or lets it wait for one, and wakes the
 * revision when it has no pod at all. Together with balancer.ts and breaker.ts it does what Knative's activator
 * throttler does (contracts/serving.md 4.3).
 */
import type { Random } from '../../lib/random.ts'
import { choose } from './balancer.ts'
import { type QueueBudget, WaitQueue, type Waiter } from './breaker.ts'
import type { Backend, RevisionTarget } from './feed.ts'
import type { RevisionMetrics } from './metrics.ts'
import type { Drains } from './drain.ts'
import { addressOf, Pod, type UpstreamContext } from './pod.ts'
import { Meter, type Stats } from './stats.ts'

/** A request that wants a slot. */
export interface Claimant extends Waiter {
  /** It has the slot; `release` it when done. */
  granted(pod: Pod): void
  /** The revision is gone. */
  revisionGone(): void
}

/** What all revisions share. */
export interface RevisionContext extends UpstreamContext {
  readonly random: Random
  readonly stats: Stats
  readonly budget: QueueBudget
  readonly queueCapacity: number
  readonly drains: Drains
  readonly metrics: (target: RevisionTarget) => RevisionMetrics
  /** Says that a request waits for a revision without a pod. */
  wake(revision: string): void
}

/** Wake messages for one revision come no faster than this while it has no pod. */
const wakeEveryMs = 1000
/** How long a pod that refused a connection is left alone: doubling from the first number to the second. */
const refusalMs = { first: 5, longest: 500 }

export class Revision {
  target: RevisionTarget
  readonly meter: Meter
  readonly queue: WaitQueue<Claimant>
  readonly metrics: RevisionMetrics
  /** When it last came from no pod to some; monotonic. */
  readySinceMs = Number.NEGATIVE_INFINITY
  #pods: Pod[] = []
  /** Pods that went from the feed with requests in flight: should they come back, those still take up slots. */
  readonly #departed = new Set<Pod>()
  #cursor = 0
  #wokenMs = Number.NEGATIVE_INFINITY
  #serving = false
  #gone = false
  readonly #context: RevisionContext

  constructor(target: RevisionTarget, context: RevisionContext) {
    this.target = { ...target, backends: [] }
    this.#context = context
    this.meter = new Meter(target.key, context.stats, context.clock.monotonic())
    this.queue = new WaitQueue(context.queueCapacity, context.budget)
    this.metrics = context.metrics(target)
    this.update(target)
  }

  /** The pods the feed lists. */
  get pods(): readonly Pod[] {
    return this.#pods
  }

  /** It has a pod that is there to stay. */
  get ready(): boolean {
    for (const pod of this.#pods) if (!pod.leaving) return true
    return false
  }

  get gone(): boolean {
    return this.#gone
  }

  /**
   * Takes a slot: answers the pod, or undefined after queueing `claimant` (it is then `granted` later), or `full` when
   * no more may wait.
   */
  acquire(claimant: Claimant): Pod | undefined | 'full' {
    if (this.queue.size === 0) {
      const pod = this.#choose()
      if (pod) {
        pod.inFlight++
        return pod
      }
    }
    if (!this.queue.push(claimant)) return 'full'
    if (!this.ready) this.wake()
    return undefined
  }

  /** Gives a slot back. */
  release(pod: Pod): void {
    pod.inFlight--
    if (pod.leaving && pod.inFlight === 0) this.#left(pod)
    if (this.queue.size > 0) this.#serve()
  }

  /** Puts a claimant whose pod refused back to the head of the queue; the pod rests a moment. */
  refused(claimant: Claimant, pod: Pod): void {
    this.queue.unshift(claimant)
    pod.inFlight--
    if (pod.leaving && pod.inFlight === 0) this.#left(pod)
    if (!pod.refusing) {
      pod.refusing = true
      const restMs = Math.min(refusalMs.first * 2 ** pod.refusals++, refusalMs.longest)
      this.#context.clock.after(restMs, () => {
        pod.refusing = false
        this.#serve()
      })
    }
    if (!this.ready) this.wake()
    this.#serve()
  }

  /** Sends the wake message, unless it was sent less than a second ago. */
  wake(): void {
    const nowMs = this.#context.clock.monotonic()
    if (nowMs - this.#wokenMs < wakeEveryMs) return
    this.#wokenMs = nowMs
    this.#context.wake(this.target.key)
  }

  /** Somebody new listens: says again what it may have missed. */
  wakeAgain(): void {
    if (this.queue.size === 0 || this.ready) return
    this.#wokenMs = Number.NEGATIVE_INFINITY
    this.wake()
  }

  update(target: RevisionTarget): void {
    this.target = target
    this.#gone = false
    const before = new Map(this.#pods.map((pod) => [pod.address, pod]))
    const pods = target.backends.map((backend) => {
      const known = before.get(addressOf(backend.host, backend.port))
      if (known?.name === backend.pod) {
        before.delete(known.address)
        return known
      }
      const back = this.#comeBack(backend)
      if (back) return back
      const fresh = new Pod(backend, this.#context)
      this.#context.drains.joined(fresh)
      return fresh
    })
    for (const pod of before.values()) this.#leave(pod)
    if (this.#pods.length === 0 && pods.length > 0)
      this.readySinceMs = this.#context.clock.monotonic()
    this.#pods = pods.toSorted((a, b) =>
      a.address < b.address ? -1 : a.address > b.address ? 1 : 0,
    )
    if (pods.length > 0) this.#wokenMs = Number.NEGATIVE_INFINITY
    else if (this.queue.size > 0) this.wake()
    this.#serve()
  }

  /** The revision is no more: who waits is told, who is served is finished. */
  remove(): void {
    this.#gone = true
    for (const pod of this.#pods) this.#leave(pod)
    this.#pods = []
    for (let waiting = this.queue.shift(); waiting; waiting = this.queue.shift())
      waiting.revisionGone()
  }

  #leave(pod: Pod): void {
    pod.leave()
    if (pod.inFlight === 0) this.#left(pod)
    else this.#departed.add(pod)
  }

  #left(pod: Pod): void {
    this.#departed.delete(pod)
    this.#context.drains.left(pod)
  }

  /** The pod that was listed before and still has requests in flight, as good as it was. */
  #comeBack({ host, port, pod: name }: Backend): Pod | undefined {
    const address = addressOf(host, port)
    for (const pod of this.#departed) {
      if (pod.name !== name || pod.address !== address || pod.draining) continue
      this.#departed.delete(pod)
      pod.leaving = false
      return pod
    }
    return undefined
  }

  #choose(): Pod | undefined {
    const at = choose(
      this.#pods,
      this.target.containerConcurrency,
      this.#cursor,
      this.#context.random,
    )
    if (at < 0) return undefined
    this.#cursor = at + 1
    return this.#pods[at]
  }

  /** Hands free slots to those who wait, in order. */
  #serve(): void {
    // A granted request can end at once and release; the loop that runs already sees it.
    if (this.#serving) return
    this.#serving = true
    while (this.queue.size > 0) {
      const pod = this.#choose()
      if (!pod) break
      pod.inFlight++
      this.queue.shift()?.granted(pod)
    }
    this.#serving = false
  }
}

/**
 * Hot path. A revision's admission: takes a slot of a ready pod for a request, or lets it wait for one, and wakes the
 * revision when it has no pod at all. Together with balancer.ts and breaker.ts it does what Knative's activator
 * throttler does.
 */
import type { Random } from '../../../lib/random.ts'
import type { Affinity } from '../routing/affinity.ts'
import { choose, hasSlot } from './balancer.ts'
import { type QueueBudget, WaitQueue, type Waiter } from './breaker.ts'
import type { Backend, RevisionTarget } from '../feed.ts'
import type { Loans } from '../handover/lending.ts'
import type { RevisionMetrics } from '../observability/metrics.ts'
import type { Drains } from './drain.ts'
import { addressOf, Pod, type UpstreamContext } from '../pod/pod.ts'
import { RetryBudget } from '../exchange/retry.ts'
import { Meter, type Stats } from './stats.ts'
import type { WorkerMemory } from '../workers/worker-memory.ts'

/** A request that wants a slot. */
export interface Claimant extends Waiter {
  /** Which pod it should have, if that one has a free slot. */
  readonly affinity?: Affinity | undefined
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
  /** Counts over all workers; absent = there is one. */
  readonly memory?: WorkerMemory | undefined
  /** Another gateway takes over: slots of pods that have a limit are borrowed from it. */
  readonly loans?: Loans | undefined
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
  readonly retryBudget = new RetryBudget(() => this.meter.total)
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
  readonly #memory: WorkerMemory | undefined
  /** Its place there. */
  readonly #place: number

  constructor(target: RevisionTarget, context: RevisionContext) {
    this.target = { ...target, backends: [] }
    this.#context = context
    this.#place = context.memory?.acquireRevision(target.key, () => this.#serve()) ?? -1
    this.#memory = this.#place < 0 ? undefined : context.memory
    this.meter = new Meter(target.key, context.stats, context.clock.monotonic())
    this.queue = new WaitQueue(context.queueCapacity, context.budget, this.#place)
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
    const loans = this.#loans
    if (this.#waiting === 0 && loans === undefined) {
      const pod = this.#take(claimant)
      if (pod) return pod
    }
    if (!this.queue.push(claimant)) return 'full'
    if (loans) loans.want(this.target.key)
    else if (this.#memory !== undefined && this.queue.size === 1) {
      const pod = this.#lookAgain(this.#memory, claimant)
      if (pod) return pod
    }
    if (!this.ready) this.wake()
    return undefined
  }

  /**
   * The first that waits here: a slot may have come free at another worker before it could see that. Who waits at other
   * workers comes first, but may not have been told of the slot either, when all began to wait at the same moment.
   */
  #lookAgain(memory: WorkerMemory, claimant: Claimant): Pod | undefined {
    if (this.#choose() < 0 || memory.ringOthers(this.#place)) return undefined
    const pod = this.#take(claimant)
    if (pod) this.queue.remove(claimant)
    return pod
  }

  /** Gives a slot back. */
  release(pod: Pod): void {
    this.#give(pod)
    if (this.#waiting > 0 && this.#loans === undefined) this.#freed()
  }

  /** Puts a claimant whose pod refused back to the head of the queue; the pod rests a moment. */
  refused(claimant: Claimant, pod: Pod): void {
    this.queue.unshift(claimant)
    this.#give(pod)
    this.#loans?.want(this.target.key)
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
    if (this.target.kind === 'service') return
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
      if (this.#memory !== undefined && target.containerConcurrency > 0)
        fresh.place = this.#memory.acquirePod(`${target.key} ${fresh.address} ${backend.pod}`)
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
    else if (target.kind === 'service') this.#dismiss()
    else if (this.queue.size > 0) this.wake()
    this.#serve()
  }

  /** The revision is no more: who waits is told, who is served is finished. */
  remove(): void {
    this.#gone = true
    for (const pod of this.#pods) this.#leave(pod)
    this.#pods = []
    this.#dismiss()
    this.#memory?.releaseRevision(this.#place)
  }

  /** Nobody will come for those who wait. */
  #dismiss(): void {
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
    if (pod.place >= 0) this.#memory?.releasePod(pod.place)
    pod.place = -1
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

  #choose(): number {
    return choose(
      this.#pods,
      this.target.containerConcurrency,
      this.#cursor,
      this.#context.random,
      this.#memory,
    )
  }

  /** Takes a free slot for `claimant`, if there is one. */
  #take(claimant: Claimant | undefined): Pod | undefined {
    let liked = claimant?.affinity?.pick(this.#pods)
    for (;;) {
      const at = this.#at(liked)
      liked = undefined
      if (at < 0) return undefined
      const pod = this.#pods[at]!
      // Another worker may take the slot between our look and our hand; then we look again.
      if (
        pod.place >= 0 &&
        this.#memory?.take(pod.place, this.target.containerConcurrency) === false
      )
        continue
      this.#cursor = at + 1
      pod.inFlight++
      return pod
    }
  }

  /** Where `liked` stands if it has a free slot, else the pod whose turn it is; -1 = none. */
  #at(liked: Pod | undefined): number {
    if (liked === undefined) return this.#choose()
    const { containerConcurrency } = this.target
    const free =
      containerConcurrency === 0 ? liked.usable : hasSlot(liked, containerConcurrency, this.#memory)
    return free ? this.#pods.indexOf(liked) : this.#choose()
  }

  #give(pod: Pod): void {
    this.#loans?.gave(this.target.key, pod.address, pod.name)
    pod.inFlight--
    if (pod.place >= 0) this.#memory?.give(pod.place)
    if (pod.leaving && pod.inFlight === 0) this.#left(pod)
  }

  /** Slots are borrowed, if this revision has a limit at all. */
  get #loans(): Loans | undefined {
    return this.target.containerConcurrency > 0 ? this.#context.loans : undefined
  }

  /** `context.loans` has just been set, or taken away. */
  loansChanged(): void {
    const loans = this.#loans
    if (loans === undefined) {
      this.#serve()
      return
    }
    for (const pod of [...this.#pods, ...this.#departed])
      for (let i = 0; i < pod.inFlight; i++) loans.held(this.target.key, pod)
    for (let i = 0; i < this.queue.size; i++) loans.want(this.target.key)
  }

  /** A slot was lent that was wanted. */
  lent(address: string, name: string): void {
    const loans = this.#loans
    const pod = this.queue.size > 0 && loans ? this.occupy(address, name) : undefined
    if (pod) this.queue.shift()?.granted(pod)
    else {
      loans?.gave(this.target.key, address, name)
      if (this.queue.size > 0) loans?.want(this.target.key)
    }
  }

  /** Takes a slot of this very pod, whatever its limit; undefined when there is no such pod. */
  occupy(address: string, name: string): Pod | undefined {
    const pod = this.#pods.find((known) => known.address === address && known.name === name)
    if (!pod) return undefined
    pod.inFlight++
    if (pod.place >= 0) this.#memory?.take(pod.place, Infinity)
    return pod
  }

  /** How many wait for the same slots. */
  get #waiting(): number {
    return this.target.containerConcurrency > 0 ? this.queue.everywhere : this.queue.size
  }

  /** A slot came free here: the worker whose turn it is has it. */
  #freed(): void {
    const memory = this.#memory
    const next =
      memory === undefined || this.target.containerConcurrency === 0
        ? undefined
        : memory.nextInTurn(this.#place)
    if (next === undefined || next === memory?.worker) this.#serve()
    else if (next >= 0) memory?.ring(next, this.#place)
  }

  /** Hands free slots to those who wait, in order. */
  #serve(): void {
    // A granted request can end at once and release; the loop that runs already sees it.
    if (this.#serving || this.#loans !== undefined) return
    this.#serving = true
    while (this.queue.size > 0) {
      const pod = this.#take(this.queue.first)
      if (!pod) break
      this.queue.shift()?.granted(pod)
    }
    this.#serving = false
    // Slots that nobody here wants are for those who wait at other workers.
    if (this.#memory !== undefined && this.queue.size === 0 && this.#waiting > 0) {
      if (this.#choose() >= 0) this.#freed()
    }
  }
}

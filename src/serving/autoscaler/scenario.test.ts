import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { createAutoscaler } from './autoscaler.ts'
import type { DeciderSpec } from './decide.ts'
import {
  activeCondition,
  activeThreshold,
  scaleStep,
  serverlessMode,
  type ActiveStatus,
  type ScaleWorld,
} from './scale.ts'

const key = 'default/hello'
const spec: DeciderSpec = {
  metric: 'concurrency',
  aggregation: 'linear',
  stableWindowMs: 60_000,
  panicWindowMs: 6_000,
  targetValue: 7,
  totalValue: 10,
  targetBurstCapacity: 211,
  panicThreshold: 2,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  scaleDownDelayMs: 0,
  activationScale: 0,
  initialScale: 1,
  reachable: true,
}

interface Options {
  readonly spec?: Partial<DeciderSpec>
  readonly scale?: Partial<ScaleWorld>
  /** As if the control plane had just been restarted with this many pods running. */
  readonly running?: number
  readonly podStartMs?: number
}

/** One revision with its Deployment, its PodAutoscaler and a gateway, in simulated time. */
class Revision implements Disposable {
  readonly clock = new SimClock()
  /** `[second, replicas]` of every change of the Deployment. */
  readonly history: [second: number, replicas: number][] = []
  readonly decisions: number[] = []
  replicas: number
  ready: number
  load = 0
  want = -1
  active: { status: ActiveStatus; sinceMs: number }
  readonly autoscaler
  readonly #spec: DeciderSpec
  readonly #scale: Partial<ScaleWorld>
  readonly #podStartMs: number
  readonly #running: Disposable
  #initialized: boolean
  #backedSinceMs: number | undefined
  #cancelRequeue = () => {}
  #reported = false
  #connected = false

  constructor({ spec: changes = {}, scale = {}, running, podStartMs = 1_500 }: Options = {}) {
    this.#spec = { ...spec, ...changes }
    this.#scale = scale
    this.#podStartMs = podStartMs
    this.#initialized = running !== undefined
    this.replicas = running ?? this.#spec.initialScale
    this.ready = running ?? 0
    this.active = {
      status: running === undefined ? 'Unknown' : running > 0 ? 'True' : 'False',
      sinceMs: this.clock.now() - (running === undefined ? 0 : 3_600_000),
    }
    this.autoscaler = createAutoscaler({
      clock: this.clock,
      onDecision: () => {
        this.decisions.push(this.autoscaler.decision(key)?.desiredScale ?? Number.NaN)
        queueMicrotask(() => this.#reconcile())
      },
    })
    this.autoscaler.set(key, this.#spec)
    this.autoscaler.setReadyPods(key, this.ready)
    this.setConnected(true)
    this.#running = this.autoscaler.start()
    this.#report()
    if (this.ready < this.replicas) this.#startPods()
    this.#reconcile()
  }

  [Symbol.dispose](): void {
    this.#running[Symbol.dispose]()
  }

  get second(): number {
    return this.clock.monotonic() / 1000
  }

  /** Lets `seconds` pass with this many requests in flight, wherever they wait. */
  async run(seconds: number, load: number): Promise<void> {
    if (load > 0 && this.load === 0 && this.ready === 0) this.autoscaler.wake(key)
    this.load = load
    await this.clock.advance(seconds * 1000)
  }

  setConnected(connected: boolean): void {
    this.#connected = connected
    this.autoscaler.setConnected(connected)
  }

  set(changes: Partial<DeciderSpec>): void {
    this.autoscaler.set(key, { ...this.#spec, ...changes })
  }

  #report(): void {
    this.clock.after(1_000, () => this.#report())
    // The gateway names a revision as long as it has requests, and once more.
    if (this.#connected && (this.load > 0 || this.#reported))
      this.autoscaler.record([
        { revision: key, concurrency: this.load, requestCount: this.load, seconds: 1 },
      ])
    this.#reported = this.load > 0
  }

  #world(probe?: 'succeeded'): ScaleWorld {
    return {
      desired: this.autoscaler.decision(key)?.desiredScale ?? -1,
      bounds: { min: 0, max: 0 },
      initialScale: this.#spec.initialScale,
      initialized: this.#initialized,
      reachability: this.#spec.reachable ? 'Reachable' : 'Unreachable',
      active: this.active,
      enableScaleToZero: true,
      stableWindowMs: this.#spec.stableWindowMs,
      scaleToZeroGracePeriodMs: 30_000,
      scaleToZeroPodRetentionMs: 0,
      progressDeadlineMs: 600_000,
      targetBurstCapacity: this.#spec.targetBurstCapacity,
      ...(this.#backedSinceMs !== undefined && { activatorBackedSinceMs: this.#backedSinceMs }),
      mode: this.#backedSinceMs === undefined ? 'Serve' : 'Proxy',
      ...(probe && { probe }),
      ...this.#scale,
    }
  }

  #reconcile(): void {
    const nowMs = this.clock.now()
    let world = this.#world()
    let step = scaleStep(world, nowMs)
    if (step.probe) {
      world = this.#world('succeeded')
      step = scaleStep(world, nowMs)
    }
    this.want = step.want
    if (step.apply !== undefined && step.apply !== this.replicas) {
      this.replicas = step.apply
      this.history.push([this.second, step.apply])
      if (this.ready > this.replicas) this.#setReady(this.replicas)
      else this.#startPods()
    }
    const threshold = activeThreshold(world)
    if (this.ready >= threshold) this.#initialized = true
    const { status } = this.active
    const condition = activeCondition({
      readyPods: this.ready,
      want: step.want,
      threshold,
      active: status,
    })
    const ebc = this.autoscaler.decision(key)?.excessBurstCapacity ?? 0
    const proxied = serverlessMode(step.want, ebc, status) === 'Proxy' || this.ready === 0
    this.#backedSinceMs = proxied ? (this.#backedSinceMs ?? nowMs) : undefined
    this.#cancelRequeue()
    if (step.requeueAfterMs !== undefined)
      this.#cancelRequeue = this.clock.after(step.requeueAfterMs, () => this.#reconcile())
    if (condition && condition.status !== status) {
      this.active = { status: condition.status, sinceMs: nowMs }
      this.#reconcile() // the status written wakes the PodAutoscaler again
    }
  }

  #startPods(): void {
    this.clock.after(this.#podStartMs, () => {
      if (this.ready < this.replicas) this.#setReady(this.replicas)
    })
  }

  #setReady(ready: number): void {
    this.ready = ready
    this.autoscaler.setReadyPods(key, ready)
    queueMicrotask(() => this.#reconcile())
  }
}

const scales = ({ history }: Revision) => history.map(([, replicas]) => replicas)

describe('in simulated time', () => {
  test('a new revision comes up with one pod, and goes to zero without requests', async () => {
    using revision = new Revision()
    await revision.run(5, 0)
    assert.deepEqual([revision.ready, revision.active.status], [1, 'True'])
    await revision.run(55, 0)
    assert.deepEqual(scales(revision), [], 'not before a stable window')
    await revision.run(40, 0)
    assert.deepEqual(scales(revision), [0])
    const second = revision.history[0]?.[0] ?? 0
    assert(second >= 61 && second <= 66, `zero at ${second} s`)
    assert.equal(revision.active.status, 'False')
  })

  test('the first request at zero wakes the revision at once, and it sleeps again afterwards', async () => {
    using revision = new Revision({ running: 0 })
    await revision.run(3_600, 0)
    assert.equal(revision.autoscaler.decision(key)?.desiredScale, -1)
    revision.autoscaler.wake(key)
    await settle()
    assert.deepEqual(revision.history, [[3_600, 1]])
    await revision.run(2, 1)
    assert.deepEqual([revision.ready, revision.active.status], [1, 'True'])
    await revision.run(8, 1)
    await revision.run(300, 0)
    assert.deepEqual(scales(revision), [1, 0])
    const slept = revision.history[1]?.[0] ?? 0
    assert(slept >= 3_610 + 60 && slept <= 3_610 + 75, `asleep at ${slept} s`)
    await revision.run(1, 2)
    assert.deepEqual(scales(revision), [1, 0, 1], 'and wakes again')
  })

  test('a burst panics, holds, and steps down by halves to zero', async () => {
    using revision = new Revision({ running: 1 })
    await revision.run(60, 3)
    assert.deepEqual(scales(revision), [])
    await revision.run(10, 70)
    assert.equal(revision.autoscaler.decision(key)?.panic, true)
    assert.equal(revision.replicas, 10)
    const peak = revision.second
    await revision.run(50, 0)
    assert.equal(revision.replicas, 10, 'held for a stable window')
    await revision.run(120, 0)
    const down = revision.history.filter(([second]) => second > peak).map(([, n]) => n)
    assert.equal(down.at(-1), 0)
    let above = 10
    for (const replicas of down) {
      assert(replicas >= Math.floor(above / 2), `${above} → ${replicas}`)
      above = replicas
    }
  })

  test('steady load needs the pods that its average needs', async () => {
    using revision = new Revision({ running: 1 })
    await revision.run(180, 50)
    assert.equal(revision.replicas, 8, '50 / (10 × 70 %) = 7.14')
    assert.equal(revision.autoscaler.decision(key)?.stableValue, 50)
    assert.equal(revision.autoscaler.decision(key)?.panic, false)
  })

  test('requests a second scale by count', async () => {
    using revision = new Revision({
      running: 1,
      spec: { metric: 'rps', totalValue: 20, targetValue: 14 },
    })
    await revision.run(180, 50)
    assert.equal(revision.replicas, 4, '50 / 14 = 3.6')
  })

  test('minimum, maximum and activation scale', async () => {
    using atLeast = new Revision({ running: 3, scale: { bounds: { min: 3, max: 0 } } })
    await atLeast.run(600, 0)
    assert.equal(atLeast.replicas, 3)

    using atMost = new Revision({ running: 1, scale: { bounds: { min: 0, max: 4 } } })
    await atMost.run(60, 500)
    assert.equal(atMost.replicas, 4)

    using activation = new Revision({ running: 0, spec: { activationScale: 5 } })
    await activation.run(20, 1)
    assert.deepEqual(scales(activation), [5])
    await activation.run(600, 0)
    assert.equal(activation.replicas, 0)
  })

  test('the last pod is retained, a delay holds every pod', async () => {
    using retained = new Revision({
      running: 1,
      scale: { scaleToZeroPodRetentionMs: 300_000 },
    })
    await retained.run(10, 1)
    await retained.run(340, 0)
    assert.equal(retained.replicas, 1)
    await retained.run(60, 0)
    assert.equal(retained.replicas, 0)

    using delayed = new Revision({ running: 1, spec: { scaleDownDelayMs: 600_000 } })
    await delayed.run(60, 50)
    assert.equal(delayed.replicas, 8)
    await delayed.run(600, 0)
    assert.equal(delayed.replicas, 8)
    await delayed.run(100, 0)
    assert.equal(delayed.replicas, 4, 'each halving waits for the whole delay')
    await delayed.run(1_800, 0)
    assert.equal(delayed.replicas, 0)
  })

  test('after a restart running pods are kept for a stable window', async () => {
    using revision = new Revision({ running: 6 })
    assert.equal(revision.autoscaler.decision(key)?.panic, true)
    await revision.run(60, 0)
    assert.equal(revision.replicas, 6)
    await revision.run(30, 0)
    assert(revision.replicas < 6)
  })

  test('pods that come up do not start a panic', async () => {
    using revision = new Revision({ spec: { initialScale: 3 } })
    await revision.run(1.9, 0)
    assert.equal(revision.ready, 3)
    await revision.run(10, 0)
    assert.equal(revision.autoscaler.decision(key)?.panic, false)
    assert.deepEqual(scales(revision), [1], 'what is not needed goes once all were ready')
  })

  test('with the activator always in the path a revision scales the same', async () => {
    using revision = new Revision({ running: 0, spec: { targetBurstCapacity: -1 } })
    await revision.run(30, 20)
    assert(revision.replicas >= 3)
    assert.equal(revision.autoscaler.decision(key)?.excessBurstCapacity, -1)
    await revision.run(300, 0)
    assert.equal(revision.replicas, 0)
  })

  test('an initial scale of zero starts nothing until there is a request', async () => {
    using revision = new Revision({ spec: { initialScale: 0 } })
    await revision.run(30, 0)
    assert.deepEqual([revision.ready, revision.active.status], [0, 'False'])
    assert.deepEqual(revision.history, [])
    await revision.run(3, 1)
    assert.equal(revision.ready, 1)
  })

  test('without scaling to zero one pod stays', async () => {
    using revision = new Revision({ running: 1, scale: { enableScaleToZero: false } })
    await revision.run(10, 20)
    await revision.run(600, 0)
    assert.equal(revision.replicas, 1)
  })

  test('a revision that no Route leads to goes down in one step', async () => {
    using revision = new Revision({ running: 8, spec: { reachable: false } })
    await revision.run(200, 0)
    assert.deepEqual(scales(revision), [0])

    using reserve = new Revision({ running: 8 })
    await reserve.run(70, 20)
    assert.deepEqual(scales(reserve), [4, 3], 'by halves at most')
    reserve.set({ reachable: false })
    await reserve.run(4, 0)
    assert.equal(reserve.replicas, 3)
    await reserve.run(70, 0)
    assert.equal(reserve.replicas, 0)
  })

  test('a revision that never comes up is given up after the progress deadline', async () => {
    using revision = new Revision({ podStartMs: 3_600_000 })
    await revision.run(629, 0)
    assert.deepEqual([revision.active.status, revision.replicas], ['Unknown', 1])
    await revision.run(2, 0)
    assert.deepEqual([revision.active.status, revision.replicas], ['False', 0])
  })

  test('while the gateway is not connected decisions stand', async () => {
    using revision = new Revision({ running: 1 })
    await revision.run(120, 50)
    revision.setConnected(false)
    const { length } = revision.decisions
    await revision.run(1_200, 50)
    assert.equal(revision.replicas, 8)
    assert.equal(revision.decisions.length, length)
    revision.setConnected(true)
    await revision.run(120, 50)
    assert.equal(revision.decisions.length, length, 'what was not heard is no zero')
    await revision.run(200, 0)
    assert.equal(revision.replicas, 0)
  })
})

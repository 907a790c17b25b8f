/**
 * Containers that only pretend, on simulated time. They outlive control planes, as processes under a launcher do. What
 * one does is in the name of its image: `good…` listens after a moment, `exits…` ends with code 1, `deaf…` never
 * listens, and `missing…` cannot be found.
 */
import type { Clock } from '../../src/lib/clock.ts'
import { randomInt, type Random } from '../../src/lib/random.ts'
import type { PodLogs } from '../../src/kube/kubelet/logs/pod-logs.ts'
import type {
  ProbeDefinition,
  ProbeResult,
  ProbeTarget,
} from '../../src/kube/kubelet/probes/probe.ts'
import {
  ImageError,
  type Container,
  type ContainerExit,
  type ContainerSpec,
  type Images,
  type Runtime,
  type Sandbox,
} from '../../src/kube/kubelet/runtime.ts'

/** A container with what happens inside. */
export interface Process extends Container {
  readonly image: string
  readonly podIP: string
  listening: boolean
  /** Asked to end; it finishes what it serves and takes nothing new. */
  leaving: boolean
  running: boolean
  /** By SIGSTOP: it takes connections and answers nothing. */
  stopped: boolean
  /** It was not its node agent that ended it. */
  crashed: boolean
  inFlight: number
  end(exit: { readonly exitCode: number; readonly signal?: number; readonly reason: string }): void
}

interface Pod {
  readonly sandbox: Sandbox
  readonly processes: Process[]
}

export class Containers {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pods = new Map<string, Pod>()
  #count = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Uids of pods that have a sandbox. */
  get pods(): readonly string[] {
    return [...this.#pods.keys()]
  }

  get running(): readonly Process[] {
    return [...this.#pods.values()].flatMap(({ processes }) =>
      processes.filter(({ running }) => running),
    )
  }

  /** Who answers at an address; undefined = connection refused. */
  listener(podIP: string): Process | undefined {
    return this.running.find((process) => process.podIP === podIP && process.listening)
  }

  crash(process: Process): void {
    process.crashed = true
    process.end({ exitCode: 137, signal: 9, reason: 'Error' })
  }

  /** A request at `process` is done; one that was asked to end may be waiting for it. */
  finished(process: Process): void {
    process.inFlight--
    if (process.leaving && process.inFlight === 0) process.end({ exitCode: 0, reason: 'Completed' })
  }

  readonly probe = async (
    _probe: ProbeDefinition,
    _timeoutMs: number,
    { host }: ProbeTarget,
  ): Promise<ProbeResult> =>
    this.listener(host)?.stopped === false
      ? undefined
      : `dial tcp ${host}: connect: connection refused`

  readonly images: Images = {
    ensure: async (reference) => {
      if (reference.includes('missing')) throw notFound(reference)
      return {
        reference,
        imageID: reference,
        rootfs: '/',
        config: {
          entrypoint: ['app'],
          cmd: [],
          env: {},
          workingDir: '/',
          user: '',
          stopSignal: '',
          exposedPorts: [],
        },
      }
    },
    resolve: async (reference) => {
      if (reference.includes('missing')) throw notFound(reference)
      return `${reference}@sha256:${'0'.repeat(64)}`
    },
  }

  readonly runtime: Runtime = {
    name: 'simulated',
    version: 'simulated://1.0',
    sharesFiles: () => true, // nothing is written: real files would have a time of their own
    createSandbox: async ({ podUid }) => {
      let pod = this.#pods.get(podUid)
      if (!pod) {
        const at = ++this.#count
        const podIP = `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`
        pod = { sandbox: { podUid, podIP }, processes: [] }
        this.#pods.set(podUid, pod)
      }
      return pod.sandbox
    },
    removeSandbox: async (podUid) => {
      for (const process of this.#pods.get(podUid)?.processes ?? [])
        process.end({ exitCode: 137, signal: 9, reason: 'Error' })
      this.#pods.delete(podUid)
    },
    start: async (spec) => this.#start(spec),
    signal: async (id, signal) => {
      const process = this.running.find((one) => one.id === id)
      if (!process) return
      if (signal === 'SIGSTOP') process.stopped = true
      else if (signal === 'SIGCONT') process.stopped = false
      else if (signal === 'SIGKILL') process.end({ exitCode: 137, signal: 9, reason: 'Error' })
      else if (signal === 'SIGTERM' && !process.stopped) {
        process.leaving = true
        process.listening = false
        if (process.inFlight === 0) process.end({ exitCode: 0, reason: 'Completed' })
      }
    },
    exec: async () => ({ exitCode: 0, output: '' }),
    recover: async () =>
      [...this.#pods.values()].map(({ sandbox, processes }) => ({
        sandbox,
        containers: processes.filter(({ running }) => running),
      })),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }

  #start(spec: ContainerSpec): Container {
    const clock = this.#clock
    const pod = this.#pods.get(spec.podUid)
    if (!pod) throw new Error(`no sandbox of pod ${spec.podName}`)
    const exited = Promise.withResolvers<ContainerExit>()
    const number = ++this.#count
    const process: Process = {
      id: `c${number}`,
      podUid: spec.podUid,
      container: spec.container,
      attempt: spec.attempt,
      pid: number,
      startedAtMs: clock.now(),
      exited: exited.promise,
      image: spec.image.reference,
      podIP: pod.sandbox.podIP,
      listening: false,
      leaving: false,
      running: true,
      stopped: false,
      crashed: false,
      inFlight: 0,
      end: (exit) => {
        if (!process.running) return
        process.running = false
        process.listening = false
        exited.resolve({ ...exit, finishedAtMs: clock.now() })
      },
    }
    pod.processes.push(process)
    const delayMs = 20 + randomInt(this.#random, 400)
    if (process.image.includes('exits'))
      clock.after(delayMs, () => process.end({ exitCode: 1, reason: 'Error' }))
    else if (!process.image.includes('deaf'))
      clock.after(delayMs, () => {
        process.listening = process.running && !process.leaving
      })
    return process
  }
}

const notFound = (reference: string) =>
  new ImageError('ErrImagePull', `${reference}: not found in the simulated image store`)

/** Logs that nobody reads. */
export const noLogs: PodLogs = {
  // eslint-disable-next-line require-yield -- there is nothing to read
  async *read() {
    throw new Error('simulated containers have no logs')
  },
  path: (pod, container, attempt) => `${pod.metadata.name}/${container}/${attempt}.log`,
  opened: () => Promise.resolve(),
  closed: () => {},
  tail: () => Promise.resolve('simulated log'),
  remove: () => Promise.resolve(),
  [Symbol.dispose]: () => {},
}

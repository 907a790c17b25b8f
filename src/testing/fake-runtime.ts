/** A runtime whose containers are promises: tests end them when they like, and see what was asked of it. */
import type { Clock } from '../lib/clock.ts'
import type {
  Container,
  ContainerExit,
  ContainerSpec,
  ImageHandle,
  Images,
  Runtime,
  Sandbox,
} from '../kube/kubelet/runtime.ts'
import { ImageError } from '../kube/kubelet/runtime.ts'

interface Fake {
  readonly container: Container
  readonly spec: ContainerSpec
  readonly end: (exit: ContainerExit) => void
  ended: boolean
}

export interface FakeRuntime extends Runtime {
  /** Specs of all starts, in order. */
  readonly started: readonly ContainerSpec[]
  /** `SIGTERM c`, in order. */
  readonly signals: readonly string[]
  /** Ends the running container of that name. */
  exit(container: string, exitCode: number): void
  /** What `exec` answers. */
  execAnswer: { readonly exitCode: number; readonly output: string }
  /** What each container's processes keep. */
  memory: number
  /** Containers of these names do not end by SIGTERM. */
  readonly deaf: Set<string>
}

export function fakeRuntime(clock: Clock): FakeRuntime {
  const sandboxes = new Map<string, Sandbox>()
  const containers = new Map<string, Fake>()
  const started: ContainerSpec[] = []
  const signals: string[] = []
  const deaf = new Set<string>()
  let address = 1

  const end = (fake: Fake, exitCode: number, signal?: number) => {
    if (fake.ended) return
    fake.ended = true
    fake.end({
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
      finishedAtMs: clock.now(),
      ...(signal !== undefined && { signal }),
    })
  }

  return {
    name: 'fake',
    version: 'fake://1.0',
    sharesFiles: () => true, // nothing is written for containers that ask for nothing
    started,
    signals,
    deaf,
    memory: 0,
    async memoryBytes() {
      return this.memory
    },
    execAnswer: { exitCode: 0, output: '' },
    exit(container, exitCode) {
      for (const fake of containers.values())
        if (fake.spec.container === container) end(fake, exitCode)
    },
    async createSandbox({ podUid }) {
      const sandbox = sandboxes.get(podUid) ?? { podUid, podIP: `127.1.0.${address++}` }
      sandboxes.set(podUid, sandbox)
      return sandbox
    },
    async removeSandbox(podUid) {
      sandboxes.delete(podUid)
      for (const [id, fake] of containers) {
        if (fake.spec.podUid !== podUid) continue
        end(fake, 137, 9)
        containers.delete(id)
      }
    },
    async start(spec) {
      started.push(spec)
      const { promise, resolve } = Promise.withResolvers<ContainerExit>()
      const container: Container = {
        id: `${spec.podUid}-${spec.container}-${spec.attempt}`,
        podUid: spec.podUid,
        container: spec.container,
        attempt: spec.attempt,
        pid: started.length,
        startedAtMs: clock.now(),
        exited: promise,
      }
      containers.set(container.id, { container, spec, end: resolve, ended: false })
      return container
    },
    async signal(id, signal) {
      const fake = containers.get(id)
      if (!fake || fake.ended) return
      signals.push(`${signal} ${fake.spec.container}`)
      if (signal === 'SIGKILL') end(fake, 137, 9)
      else if (signal === 'SIGTERM' && !deaf.has(fake.spec.container)) end(fake, 143, 15)
    },
    async exec() {
      return this.execAnswer
    },
    async recover() {
      return [...sandboxes.values()].map((sandbox) => ({
        sandbox,
        containers: [...containers.values()]
          .filter(({ spec }) => spec.podUid === sandbox.podUid)
          .map(({ container }) => container),
      }))
    },
    async [Symbol.asyncDispose]() {
      for (const fake of containers.values()) end(fake, 137, 9)
      containers.clear()
      sandboxes.clear()
    },
  }
}

/** Images by name; those not in `known` are missing. Without `known` every image is there. */
export const fakeImages = (known?: ReadonlySet<string>): Images => ({
  async ensure(reference): Promise<ImageHandle> {
    if (known && !known.has(reference))
      throw new ImageError('ErrImagePull', `${reference}: not found`)
    return {
      reference,
      imageID: `${reference}@sha256:${'0'.repeat(64)}`,
      rootfs: '/nonexistent',
      config: {
        entrypoint: ['/program'],
        cmd: ['argument'],
        env: { FROM_IMAGE: 'yes' },
        workingDir: '/app',
        user: '',
        stopSignal: '',
        exposedPorts: [],
      },
    }
  },
  resolve: async (reference) => `${reference}@sha256:${'0'.repeat(64)}`,
})

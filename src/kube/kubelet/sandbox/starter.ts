/**
 * Starts containers with a root of their own through the launcher: one after another within a pod, as later ones join
 * namespaces of earlier ones, and once more when another way was found to do what this machine does not.
 */
import type { ContainerRecord, PodRecord, SandboxRecord, StartSpec } from '../launcher/protocol.ts'
import type { Launcher } from '../process/launcher-client.ts'
import type { ContainerSpec } from '../runtime.ts'
import { NotStartable, openSandboxes, type Sandboxes, type SandboxesOptions } from './sandboxes.ts'

export interface StarterOptions extends SandboxesOptions {
  readonly launcher: Pick<Launcher, 'start' | 'exited' | 'pods'>
}

export interface StartRequest {
  readonly spec: ContainerSpec
  readonly id: string
  readonly sandbox: SandboxRecord | undefined
  readonly hostname: string
  /** Folder of the pod. */
  readonly folder: string
  readonly streams: NonNullable<StartSpec['exec']['streams']>
  /** Makes a command line run on a terminal. */
  readonly onTerminal: (program: Pick<StartSpec, 'argv' | 'env'>) => Pick<StartSpec, 'argv' | 'env'>
}

export interface Starter {
  /** The record of a running container, or why it has none. Rejects with SandboxImpossible. */
  start(request: StartRequest): Promise<ContainerRecord | { readonly message: string }>
}

/** As many different ways as there are. */
const maxTries = 4

export function sandboxStarter(options: StarterOptions): Starter {
  const { launcher } = options
  const sandboxes = openSandboxes(options)
  /** By pod and container: the program's pid, while it runs. */
  const running = new Map<string, Map<string, number>>()
  const queues = new Map<string, Promise<unknown>>()

  const note = (podUid: string, record: ContainerRecord) => {
    if (!record.kept || record.exit || record.pid === 0) return
    const ofPod = running.get(podUid) ?? new Map<string, number>()
    running.set(podUid, ofPod.set(record.container, record.pid))
    void launcher.exited(podUid, record).then(() => {
      if (ofPod.get(record.container) === record.pid) ofPod.delete(record.container)
      if (ofPod.size === 0 && running.get(podUid) === ofPod) running.delete(podUid)
    })
  }
  for (const { podUid, containers } of launcher.pods satisfies readonly PodRecord[])
    for (const record of containers) note(podUid, record)

  return {
    async start(request) {
      const { podUid } = request.spec
      const turn = (queues.get(podUid) ?? Promise.resolve())
        .catch(() => {})
        .then(() => startNow(request, sandboxes, running.get(podUid), launcher))
      queues.set(podUid, turn)
      try {
        const result = await turn
        if ('id' in result) note(podUid, result)
        return result
      } finally {
        if (queues.get(podUid) === turn) queues.delete(podUid)
      }
    },
  }
}

async function startNow(
  { spec, id, sandbox, hostname, folder, streams, onTerminal }: StartRequest,
  sandboxes: Sandboxes,
  running: ReadonlyMap<string, number> | undefined,
  launcher: Pick<Launcher, 'start'>,
): Promise<ContainerRecord | { readonly message: string }> {
  const [beside] = running?.values() ?? []
  const { processes } = spec
  const among = processes === 'pod' ? beside : processes && running?.get(processes.of)
  if (typeof processes === 'object' && among === undefined)
    return { message: `container "${processes.of}" does not run, its processes can not be shared` }
  for (let tried = 1; ; tried++) {
    let prepared
    try {
      prepared = sandboxes.prepare({
        spec,
        id,
        sandbox,
        hostname,
        folder,
        ...(beside !== undefined && { beside }),
        ...(among !== undefined && { among }),
        ...(sandbox?.netns !== undefined && { network: `/run/netns/${sandbox.netns}` }),
      })
    } catch (error) {
      if (error instanceof NotStartable) return { message: error.message }
      throw error
    }
    const { kept, limits, root } = prepared
    const program = { argv: prepared.argv, env: prepared.env }
    const record = await launcher.start({
      id,
      podUid: spec.podUid,
      container: spec.container,
      attempt: spec.attempt,
      ...(spec.tty ? onTerminal(program) : program),
      cwd: '/',
      logPath: spec.logPath,
      exec: {
        rootfs: '',
        cwd: '/',
        path: '',
        env: prepared.env,
        enter: [],
        hasView: false,
        streams,
        root,
      },
      kept,
      ...(limits && { limits }),
    })
    if (!record.failed) {
      if (record.pid > 0 || !record.exit) return record
      return { message: record.exit.message ?? 'it ended before it began' }
    }
    const why = prepared.failure(record.failed.address, record.failed.error)
    if (why !== 'again') return why
    if (tried === maxTries) return { message: 'no way was found to start it' }
  }
}

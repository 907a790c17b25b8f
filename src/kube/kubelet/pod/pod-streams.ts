/**
 * Streams into pods for the API server: finds the container that a pod's status names, and a way to its ports. The shape is
 * the API server's (`apiserver/streams/pod-streams.ts`).
 */
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { Pod } from '../../api/pod.ts'
import { StatusError } from '../../api/status-error.ts'
import type { ContainerStreams, RunningCommand, Runtime, TerminalSize } from '../runtime.ts'

export interface PodStreams {
  /** Starts a command in a running container. */
  exec(
    pod: KubeObject,
    container: string,
    command: readonly string[],
    options: { readonly stdin: boolean; readonly tty: boolean; readonly size?: TerminalSize },
  ): Promise<RunningCommand>
  /** The streams of the container's own program, output from now on; they end with it. */
  attach(pod: KubeObject, container: string): Promise<ContainerStreams>
  /** Connects to a port of the pod. */
  dial(pod: KubeObject, port: number): Promise<Duplex>
}

const dialLimitMs = 10_000

export function podStreams({
  runtime,
  clock,
}: {
  readonly runtime: Pick<Runtime, 'name' | 'open' | 'attach' | 'dialLoopback'>
  readonly clock: Clock
}): PodStreams {
  return {
    async exec(pod, container, command, { stdin, tty, size }) {
      if (!runtime.open) throw notHere(runtime.name, 'commands with streams')
      const id = containerId(pod, container)
      try {
        return await runtime.open(id, command, { stdin, tty, ...(size && { size }) })
      } catch (error) {
        throw failed('error executing command in container: failed to exec in container', error)
      }
    },
    async attach(pod, container) {
      if (!runtime.attach) throw notHere(runtime.name, 'attaching')
      const id = containerId(pod, container)
      try {
        return await runtime.attach(id)
      } catch (error) {
        throw failed('error attaching to container', error)
      }
    },
    async dial(pod, port) {
      try {
        return await dial(addressOf(pod, port), clock)
      } catch (error) {
        // It may listen for its own pod alone.
        if (!runtime.dialLoopback || !isRefused(error)) throw error
        return await runtime.dialLoopback(pod.metadata.uid ?? '', port).catch(() => {
          throw error
        })
      }
    },
  }
}

const isRefused = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'

function failed(what: string, error: unknown): StatusError {
  const why = error instanceof Error ? error.message : String(error)
  return new StatusError('InternalError', `Internal error occurred: ${what}: ${why}`)
}

const notHere = (runtime: string, what: string): StatusError =>
  new StatusError('InternalError', `the runtime "${runtime}" does not support ${what}`)

/** `process://<id>` in a pod's status. */
function containerId(pod: KubeObject, container: string): string {
  const { status } = asPod(pod)
  const found = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ].find(({ name }) => name === container)
  const id = found?.containerID?.split('://')[1]
  if (id === undefined)
    throw new StatusError('InternalError', `container not found (${JSON.stringify(container)})`)
  return id
}

// What the API server hands over is a stored pod.
const asPod = (pod: KubeObject): Pod => pod as Pod

/** Where a pod's port is reached: at its own address, or where its sandbox has put the port on this machine. */
export function addressOf(
  object: KubeObject,
  port: number,
): { readonly host: string; readonly port: number } {
  const pod = asPod(object)
  const host = pod.status?.podIP
  if (!host) throw new Error(`pod ${pod.metadata.name} has no address yet`)
  return { host, port: hostPorts(pod)[port] ?? port }
}

function hostPorts({ metadata }: Pod): Readonly<Record<string, number>> {
  try {
    const noted: unknown = JSON.parse(metadata.annotations?.['ebb.dev/host-ports'] ?? '{}')
    if (typeof noted !== 'object' || noted === null) return {}
    return Object.fromEntries(
      Object.entries(noted).filter(
        ([, port]) => Number.isInteger(port) && port > 0 && port < 65_536,
      ),
    )
  } catch {
    return {}
  }
}

/** Rejects when nobody answers. */
function dial(
  { host, port }: { readonly host: string; readonly port: number },
  clock: Clock,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true })
    const cancel = clock.after(dialLimitMs, () =>
      socket.destroy(new Error(`connect ${host}:${port}: no answer in ${dialLimitMs / 1000} s`)),
    )
    const fail = (error: Error): void => {
      cancel()
      reject(error)
    }
    socket.once('error', fail)
    socket.once('connect', () => {
      cancel()
      socket.off('error', fail)
      resolve(socket)
    })
  })
}

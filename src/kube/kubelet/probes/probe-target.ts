/** Where the probes and hooks of a container go: its pod's address, ports by name, commands through the runtime. */
import type { Clock } from '../../../lib/clock.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { ProbeTarget } from './probe.ts'
import type { Runtime, Sandbox } from '../runtime.ts'

const execLimitBytes = 10 << 10
/** Knative's default user port. */
const defaultPort = 8080

export const probeTarget = (
  definition: ContainerDefinition,
  containerId: string,
  sandbox: Sandbox | undefined,
  { runtime, clock }: { readonly runtime: Runtime; readonly clock: Clock },
): ProbeTarget => ({
  host: sandbox?.podIP ?? '127.0.0.1',
  clock,
  port(wanted) {
    const named = definition.ports?.find(({ name }) => name === wanted)?.containerPort
    const number = typeof wanted === 'number' ? wanted : (named ?? (Number(wanted) || undefined))
    if (number === undefined) return undefined
    // Knative's tcpSocket port 0 means the container's own port.
    const port = number === 0 ? (definition.ports?.[0]?.containerPort ?? defaultPort) : number
    return sandbox?.hostPorts?.[port] ?? port
  },
  exec: (command, timeoutMs) =>
    runtime.exec(containerId, command, { timeoutMs, limitBytes: execLimitBytes }),
})

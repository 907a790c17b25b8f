/**
 * The backends of a Service: its pods with the ports they really listen on, grouped by equal ports. Both Endpoints and
 * EndpointSlices are written from this.
 */
import type { Pod } from '../../api/pod.ts'
import type { Service } from '../../api/service.ts'
import { isReady, isTerminated } from '../pod-state.ts'

interface BackendPort {
  readonly name?: string
  readonly port: number
  readonly protocol: string
  readonly appProtocol?: string
}

export interface Backend {
  readonly ip: string
  readonly hostname?: string
  readonly nodeName?: string
  readonly targetRef: {
    readonly kind: 'Pod'
    readonly namespace: string
    readonly name: string
    readonly uid: string
  }
  /** Gets requests: ready and staying, or the Service publishes those that are not ready too. */
  readonly ready: boolean
  /** Answers, though it may be about to end. */
  readonly serving: boolean
  readonly terminating: boolean
}

export interface BackendGroup {
  readonly ports: readonly BackendPort[]
  /** Sorted by address and name, so that equal sets look equal. */
  readonly backends: readonly Backend[]
}

/** Where pods have no network of their own the kubelet writes here which port of the machine stands for a port of theirs. */
const hostPortsAnnotation = 'ebb.dev/host-ports'

export function backendGroups(service: Service, pods: readonly Pod[]): readonly BackendGroup[] {
  const groups = new Map<string, { ports: readonly BackendPort[]; backends: Backend[] }>()
  for (const pod of pods) {
    const backend = backendOf(service, pod)
    if (!backend) continue
    const ports = portsOf(service, pod)
    if (ports.length === 0 && (service.spec.ports?.length ?? 0) > 0) continue
    const key = JSON.stringify(ports)
    const group = groups.get(key)
    if (group) group.backends.push(backend)
    else groups.set(key, { ports, backends: [backend] })
  }
  return [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { ports, backends }]) => ({ ports, backends: backends.toSorted(byAddress) }))
}

const byAddress = (a: Backend, b: Backend) =>
  a.ip === b.ip ? (a.targetRef.name < b.targetRef.name ? -1 : 1) : a.ip < b.ip ? -1 : 1

function backendOf(service: Service, pod: Pod): Backend | undefined {
  const ip = pod.status?.podIP
  if (!ip || isTerminated(pod)) return undefined
  const { name, namespace = '', uid = '', deletionTimestamp } = pod.metadata
  const { hostname, subdomain, nodeName } = pod.spec
  const serving = isReady(pod)
  const terminating = deletionTimestamp !== undefined
  return {
    ip,
    ...(hostname && subdomain === service.metadata.name && { hostname }),
    ...(nodeName && { nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
    ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating),
    serving,
    terminating,
  }
}

function portsOf({ spec }: Service, pod: Pod): readonly BackendPort[] {
  const hostPorts = hostPortsOf(pod)
  const ports: BackendPort[] = []
  for (const { name, port, targetPort, protocol = 'TCP', appProtocol } of spec.ports ?? []) {
    const number = containerPort(targetPort ?? port, protocol, pod)
    if (number === undefined) continue
    ports.push({
      ...(name && { name }),
      port: hostPorts[number] ?? number,
      protocol,
      ...(appProtocol && { appProtocol }),
    })
  }
  return ports
}

/** A target port by number, or by the name that a container gives it. */
function containerPort(target: number | string, protocol: string, pod: Pod): number | undefined {
  if (typeof target === 'number') return target
  if (/^\d+$/.test(target)) return Number(target)
  for (const { ports = [] } of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])])
    for (const port of ports)
      if (port.name === target && (port.protocol ?? 'TCP') === protocol) return port.containerPort
  return undefined
}

function hostPortsOf({ metadata }: Pod): Readonly<Record<number, number>> {
  const text = metadata.annotations?.[hostPortsAnnotation]
  if (!text) return {}
  try {
    const ports: unknown = JSON.parse(text)
    if (typeof ports !== 'object' || ports === null) return {}
    return Object.fromEntries(
      Object.entries(ports).filter(([, port]) => Number.isInteger(port) && port > 0),
    )
  } catch {
    return {} // not written by the kubelet; then it means nothing
  }
}

/**
 * Which cluster IP and node ports a Service gets (contracts/kube 10.7). The choice starts at a hash of the name and
 * goes on to the next free one, so that it needs no state but the Services that are there.
 */
import type { Service } from './service.ts'

/** 10.96.0.0/12, Kubernetes' usual range; its first address belongs to default/kubernetes. */
const FIRST_IP = 0x0a_60_00_00
const IPS = 2 ** 20
const FIRST_NODE_PORT = 30_000
const NODE_PORTS = 2768

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x81_1c_9d_c5
  for (let i = 0; i < text.length; i++)
    value = Math.imul(value ^ text.charCodeAt(i), 0x01_00_01_93) >>> 0
  return value
}

const ipText = (ip: number): string =>
  [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255].join('.')

const seedOf = ({ metadata }: Service): number =>
  hash(`${metadata.namespace ?? ''}/${metadata.name}`)

/** Addresses in use, by anybody but `self`. */
export function takenIps(self: Service, services: Iterable<Service>): ReadonlySet<string> {
  const taken = new Set<string>()
  for (const { metadata, spec } of services)
    if (
      spec.clusterIP &&
      (metadata.name !== self.metadata.name || metadata.namespace !== self.metadata.namespace)
    )
      taken.add(spec.clusterIP)
  return taken
}

/** A free address of the service range; undefined when there is none. */
export function freeClusterIp(service: Service, taken: ReadonlySet<string>): string | undefined {
  if (service.metadata.namespace === 'default' && service.metadata.name === 'kubernetes')
    return ipText(FIRST_IP + 1)
  const start = seedOf(service)
  for (let i = 0; i < IPS - 12; i++) {
    // The first ten addresses stay free for well-known services, the last is the broadcast address.
    const ip = ipText(FIRST_IP + 10 + ((start + i) % (IPS - 12)))
    if (!taken.has(ip)) return ip
  }
  return undefined
}

/** A free node port; undefined when there is none. */
export function freeNodePort(
  service: Service,
  port: number,
  taken: ReadonlySet<number>,
): number | undefined {
  const start = (seedOf(service) + port) >>> 0
  for (let i = 0; i < NODE_PORTS; i++) {
    const candidate = FIRST_NODE_PORT + ((start + i) % NODE_PORTS)
    if (!taken.has(candidate)) return candidate
  }
  return undefined
}

/** Node ports in use by other Services. */
export function takenNodePorts(self: Service, services: Iterable<Service>): Set<number> {
  const taken = new Set<number>()
  for (const { metadata, spec } of services) {
    if (metadata.name === self.metadata.name && metadata.namespace === self.metadata.namespace)
      continue
    for (const { nodePort } of spec.ports ?? []) if (nodePort) taken.add(nodePort)
  }
  return taken
}

/** The Node object of this machine, as a kubelet writes one, and its heartbeat. */
import { readFileSync, statfsSync } from 'node:fs'
import { arch, cpus, hostname, networkInterfaces, release, totalmem } from 'node:os'
import { rfc3339 } from '../../lib/clock.ts'
import type { Lease } from '../api/lease.ts'
import type { Node } from '../api/node.ts'

export interface NodeFacts {
  readonly nodeName: string
  readonly runtimeVersion: string
  readonly kubeletVersion: string
  /** Whose file system is the node's storage. */
  readonly dataDir: string
}

const maxPods = '500'
const leaseSeconds = 40
export const leaseNamespace = 'kube-node-lease'

/** Address of this machine on its network; loopback when it has none. */
export function machineAddress(): string {
  for (const [name, addresses = []] of Object.entries(networkInterfaces())) {
    if (/^(ebb|docker|br-|veth|virbr)/.test(name)) continue
    const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)
    if (found) return found.address
  }
  return '127.0.0.1'
}

/** What pods may use of this machine, and of the file system that `dataDir` is on. */
export const allocatable = (dataDir: string): Readonly<Record<string, string>> => ({
  cpu: String(cpus().length),
  memory: `${Math.floor(totalmem() / 1024)}Ki`,
  pods: maxPods,
  'ephemeral-storage': `${diskKi(dataDir)}Ki`,
})

function diskKi(path: string): number {
  try {
    const { blocks, bsize } = statfsSync(path)
    return Math.floor((blocks * bsize) / 1024)
  } catch {
    return 0 // the directory is about to be made
  }
}

export function nodeObject({ nodeName }: NodeFacts): Node {
  const architecture = goArch()
  const labels = {
    'kubernetes.io/arch': architecture,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/hostname': nodeName,
    'beta.kubernetes.io/arch': architecture,
    'beta.kubernetes.io/os': 'linux',
    'node-role.kubernetes.io/control-plane': '',
  }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: nodeName, labels, annotations: { 'node.alpha.kubernetes.io/ttl': '0' } },
  }
}

type NodeStatus = NonNullable<Node['status']>

export function nodeStatus(facts: NodeFacts, before: Node['status'], nowMs: number): NodeStatus {
  const now = rfc3339(nowMs)
  const condition = (type: string, status: string, reason: string, message: string) => {
    const same = before?.conditions?.find((old) => old.type === type && old.status === status)
    return {
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      lastTransitionTime: same?.lastTransitionTime ?? now,
    }
  }
  const machineID = read('/etc/machine-id')
  const available = allocatable(facts.dataDir)
  return {
    capacity: available,
    allocatable: available,
    conditions: [
      condition(
        'MemoryPressure',
        'False',
        'KubeletHasSufficientMemory',
        'kubelet has sufficient memory available',
      ),
      condition(
        'DiskPressure',
        'False',
        'KubeletHasNoDiskPressure',
        'kubelet has no disk pressure',
      ),
      condition(
        'PIDPressure',
        'False',
        'KubeletHasSufficientPID',
        'kubelet has sufficient PID available',
      ),
      condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'),
    ],
    addresses: [
      { type: 'InternalIP', address: machineAddress() },
      { type: 'Hostname', address: hostname() },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    nodeInfo: {
      architecture: goArch(),
      bootID: read('/proc/sys/kernel/random/boot_id'),
      containerRuntimeVersion: facts.runtimeVersion,
      kernelVersion: release(),
      kubeProxyVersion: facts.kubeletVersion,
      kubeletVersion: facts.kubeletVersion,
      machineID,
      operatingSystem: 'linux',
      osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(read('/etc/os-release'))?.[1] ?? 'Linux',
      systemUUID: machineID,
    },
  }
}

/** The heartbeat, renewed every ten seconds. */
export function nodeLease(nodeName: string, nowMs: number): Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: nodeName, namespace: leaseNamespace },
    spec: {
      holderIdentity: nodeName,
      leaseDurationSeconds: leaseSeconds,
      renewTime: microTime(nowMs),
    },
  }
}

export const microTime = (nowMs: number): string =>
  `${new Date(nowMs).toISOString().slice(0, -1)}000Z`

const goArch = (): string => (arch() === 'x64' ? 'amd64' : arch())

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/**
 * Networks of pods: an address of its own for each where the machine allows it (namespace-network.ts), else the
 * machine's loopback with ports handed out (here).
 */
import { createServer } from 'node:net'
import type { SandboxRecord } from '../launcher/protocol.ts'

/** What a pod got: its address, and how it is separated from others. */
export type PodNetwork = Omit<SandboxRecord, 'podUid'>

export interface Network extends AsyncDisposable {
  readonly mode: 'namespaces' | 'host'
  /** Address under which pods reach the node. */
  readonly hostIP: string
  /** `ports` are those that the pod's containers declare; of the networks kept ready, a preferred one if there is any. */
  acquire(
    ports: readonly number[],
    preferred?: (network: PodNetwork) => boolean,
  ): Promise<PodNetwork>
  /** Networks that are ready for pods to come. */
  ready?(): readonly PodNetwork[]
  release(network: PodNetwork): Promise<void>
  /** Command line before a container's own, so that it starts inside its network. */
  enter(network: PodNetwork): readonly string[]
  /** Command that removes everything there is, once no pod runs any more. */
  readonly cleanup?: readonly string[]
}

/** A port handed out is not handed out again for so many further ports, free though it may look. */
const recentPorts = 500

/** All pods on 127.0.0.1; each declared port is translated to a free one, which the program is told by PORT. */
export function hostNetwork(inUse: readonly SandboxRecord[]): Network {
  const taken = new Set(inUse.flatMap(({ hostPorts = {} }) => Object.values(hostPorts)))
  const recent: number[] = []
  const pick = async (): Promise<number> => {
    for (let attempt = 0; attempt < 1000; attempt++) {
      const port = await freePort()
      if (taken.has(port) || recent.includes(port)) continue
      recent.push(port)
      if (recent.length > recentPorts) recent.shift()
      taken.add(port)
      return port
    }
    throw new Error('no free port was found on 127.0.0.1')
  }
  return {
    mode: 'host',
    hostIP: '127.0.0.1',
    async acquire(ports) {
      const hostPorts: Record<number, number> = {}
      for (const port of new Set(ports)) hostPorts[port] = await pick()
      return { podIP: '127.0.0.1', hostPorts }
    },
    async release({ hostPorts = {} }) {
      for (const port of Object.values(hostPorts)) taken.delete(port)
    },
    enter: () => [],
    async [Symbol.asyncDispose]() {},
  }
}

/** A port nobody listens on now, as the kernel picks it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address()
      server.close(() => {
        if (typeof address === 'object' && address) resolve(address.port)
        else reject(new Error('the kernel gave no port'))
      })
    })
  })
}

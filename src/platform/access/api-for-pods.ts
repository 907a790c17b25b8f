/**
 * The API server where pods reach it. Pods with networks of their own don't see this machine's loopback, so the server
 * listens on the address that is theirs for this machine too, with a certificate that names it.
 */
import type { HttpServer } from '../../kube/apiserver/http/http.ts'
import type { ApiForPods } from '../../kube/kubelet/container/service-env.ts'
import type { Log } from '../../lib/log.ts'
import type { Certificates } from './certificates.ts'

export interface ApiForPodsOptions {
  /** Where the API server listens already. */
  readonly listening: ApiForPods
  /** Address of this machine for pods; absent = they share its loopback. */
  readonly hostIP: string | undefined
  /** The server's certificate with this address among its names. */
  readonly certificatesFor: (ip: string) => Promise<Certificates>
  readonly serve: (host: string, port: number, certificates: Certificates) => Promise<HttpServer>
  readonly log: Log
}

export interface ServedToPods extends AsyncDisposable {
  /** What pods are told. */
  readonly address: () => ApiForPods
}

/** Answers at once: the server listens a moment later, long before the first program of a pod runs. */
export function serveToPods(options: ApiForPodsOptions): ServedToPods {
  const { listening, hostIP, certificatesFor, serve, log } = options
  if (hostIP === undefined || listening.host === hostIP) {
    const host = listening.host === '0.0.0.0' ? '127.0.0.1' : listening.host
    return { address: () => ({ ...listening, host }), async [Symbol.asyncDispose]() {} }
  }
  let { port } = listening
  const open = async (): Promise<HttpServer | undefined> => {
    const certificates = await certificatesFor(hostIP)
    if (listening.host === '0.0.0.0') return undefined
    // Another port, if somebody has the same one on this address.
    const server = await serve(hostIP, port, certificates).catch(() =>
      serve(hostIP, 0, certificates),
    )
    port = server.port
    return server
  }
  const opened = open().catch((error: unknown) => {
    log.error('pods can not reach the API server', { address: hostIP, error })
    return undefined
  })
  return {
    address: () => ({ host: hostIP, port }),
    [Symbol.asyncDispose]: async () => await (await opened)?.[Symbol.asyncDispose](),
  }
}

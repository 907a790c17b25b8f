/**
 * What lets programs in pods call each other by the names of the cluster: a DNS server, and the gateway's listener for
 * cluster-local hosts on port 80, both on the address at which pods see this machine. Where the machine does not allow one
 * of them, pods do without, and the log says so.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Service } from '../../kube/api/service.ts'
import type { Informers } from '../../kube/client/informer.ts'
import { findName } from '../../kube/kubelet/dns/cluster-names.ts'
import type { DnsServer } from '../../kube/kubelet/dns/dns-server.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { label } from '../../serving/api/names.ts'
import { needsGateway } from '../../serving/controllers/ingress/service-hosts.ts'
import type { Address } from '../config.ts'

export interface NamesOptions {
  /** Address of this machine for pods; absent = they share its loopback, and its names. */
  readonly hostIP: string | undefined
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
}

export interface NamesForPods extends AsyncDisposable {
  /** Address of the DNS server; undefined where there can be none. */
  readonly dns: () => string | undefined
  /** Port 80 leads to the gateway from now on. */
  leadTo(gateway: Address): void
  /** Port 443 leads there from now on, or nowhere. */
  leadSecureTo(to: Address | undefined): void
}

const mostConnections = 5_000
const httpPort = 80
const httpsPort = 443

/** Answers at once; the servers listen a moment later. */
export function namesForPods({ hostIP, informers, clock, log }: NamesOptions): NamesForPods {
  if (hostIP === undefined)
    return {
      dns: () => undefined,
      leadTo() {},
      leadSecureTo() {},
      async [Symbol.asyncDispose]() {},
    }
  let dns: DnsServer | undefined
  let impossible = false
  let relay: Server | undefined
  let secure: Server | undefined
  let secureTo: Address | undefined
  const connections = new Set<Socket>()
  const read = informers.reader()
  const find = (name: string) =>
    findName(name, { read, hostIP, isGateway, isBehindGateway: needsGateway })
  const opening = import('../../kube/kubelet/dns/dns-server.ts')
    .then(({ startDnsServer }) => startDnsServer({ address: hostIP, find, clock, log }))
    .then((server) => void (dns = server))
    .catch((error: unknown) => {
      impossible = true
      log.info('pods do without names of the cluster: no DNS server', { address: hostIP, error })
    })
  return {
    // It listens before the first program of a pod can ask.
    dns: () => (impossible ? undefined : hostIP),
    leadTo(gateway) {
      relay = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
        if (connections.size >= mostConnections) return client.destroy()
        pass(client, gateway, connections)
      })
      relay.on('error', (error) =>
        log.info('pods do not reach services by their names', { address: hostIP, error }),
      )
      relay.listen({ host: hostIP, port: httpPort, exclusive: true })
    },
    leadSecureTo(to) {
      secureTo = to
      if (!to || secure) return
      secure = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
        if (connections.size >= mostConnections || !secureTo) return client.destroy()
        pass(client, secureTo, connections)
      })
      secure.on('error', (error) =>
        log.info('pods do not reach events over TLS', { address: hostIP, error }),
      )
      secure.listen({ host: hostIP, port: httpsPort, exclusive: true })
    },
    async [Symbol.asyncDispose]() {
      await opening
      relay?.close()
      secure?.close()
      for (const client of connections) client.destroy()
      await dns?.[Symbol.asyncDispose]()
    },
  }
}

/** Bytes both ways until both sides have ended. */
function pass(client: Socket, gateway: Address, connections: Set<Socket>): void {
  const server = connect({ ...gateway, noDelay: true, allowHalfOpen: true })
  connections.add(client)
  client.on('close', () => {
    connections.delete(client)
    server.destroy()
  })
  server.on('close', () => client.destroy())
  client.on('error', () => {})
  server.on('error', () => {})
  client.pipe(server)
  server.pipe(client)
}

/** Namespaces whose Services without pods are names of the gateway. */
const behindGateway = new Set(['kourier-system', 'knative-eventing'])

/** Services that stand for a Route, and those by which ingresses of Knative are known. */
const isGateway = ({ metadata, spec }: Service): boolean =>
  metadata.labels?.[label.route] !== undefined ||
  (behindGateway.has(metadata.namespace ?? '') && !spec.selector)

/**
 * Knative Serving as one started part: gateway process, feed, autoscaler and controllers over a client. The same on one
 * machine (`ebb up`) and beside another API server (`ebb controllers`).
 */
import { ConfigMap } from '../kube/api/config-map.ts'
import { keyText, type ObjectKey } from '../kube/api/meta.ts'
import { hasReason } from '../kube/api/status-error.ts'
import type { Client } from '../kube/client/client.ts'
import type { Clock } from '../lib/clock.ts'
import type { ControllerDeps } from '../kube/controller/loop.ts'
import { startRoutingControllers } from '../routing/controllers/controllers.ts'
import { gatewayCertificates } from '../routing/controllers/listener-tls.ts'
import { installRouting } from '../routing/controllers/install.ts'
import { createSharedHosts } from '../routing/controllers/shared-hosts.ts'
import { createAutoscaler } from '../serving/autoscaler/autoscaler.ts'
import { startColdStarts, type ColdStarts } from '../serving/controllers/cold-start/cold-starts.ts'
import { startServingControllers } from '../serving/controllers/controllers.ts'
import {
  connectGateway,
  type FeedSource,
  type GatewayLink,
  type Hello,
} from '../serving/controllers/ingress/feed-client.ts'
import { callableAddress } from '../serving/controllers/gateway-address.ts'
import type { FeedPart } from '../serving/controllers/ingress/feed-part.ts'
import { createIngressView } from '../serving/controllers/ingress/ingress-view.ts'
import { localCertificates } from '../serving/controllers/certificate/local-certificates.ts'
import { servingCertificates } from '../serving/controllers/certificate/serving-certificates.ts'
import { createServiceHosts } from '../serving/controllers/ingress/service-hosts.ts'
import { createServiceTargets } from '../serving/controllers/ingress/service-targets.ts'
import type { ImageIdentity } from '../serving/controllers/revision/digest-resolver.ts'
import { settingsPart } from '../serving/controllers/ingress/settings.ts'
import { installServing, managedDomain } from '../serving/controllers/install.ts'
import { createCertificateIssuance } from './access/certificate-issuance.ts'
import type { Address, Layout, WantedAddress } from './config.ts'
import { superviseGateway, type GatewayProcessOptions } from './gateway/gateway-process.ts'

export interface ServingOptions extends ControllerDeps {
  readonly layout: Layout
  readonly gateway: Address
  readonly gatewayTls: WantedAddress | undefined
  /** Where the gateway tells its metrics; undefined = nowhere. */
  readonly metrics: WantedAddress | undefined
  /** Default 1. */
  readonly gatewayWorkers?: number
  /** Undefined = what config-domain says already, `localhost` at first. */
  readonly domain?: string
  readonly resolveDigest: (image: string, identity: ImageIdentity) => Promise<string>
  readonly onImages?: (listener: () => void) => Disposable | undefined
  /** What else the gateway is told. */
  readonly parts?: readonly FeedPart[]
}

export interface Serving extends AsyncDisposable {
  readonly link: GatewayLink
  readonly gateway: Address
  readonly local: Address
  readonly https: Address | undefined
  readonly metrics: Address | undefined
  readonly coldStarts: ColdStarts
}

/** How long a gateway that is stopped may take to finish what is in flight. */
const gatewayGraceMs = 10_000

/** Resolves when the gateway is connected and everything is started. The process must have been forked before. */
export async function startServing(options: ServingOptions): Promise<Serving> {
  const { client, clock, log, informers, layout } = options
  await using started = new AsyncDisposableStack()
  const source: FeedSource = {
    read: informers.reader(),
    synced: () => informers.synced(),
    onChange(kind, listener) {
      const subscription = informers.for(kind).subscribe((_type, object) => listener(object))
      return () => subscription[Symbol.dispose]()
    },
  }
  const targets = started.use(createServiceTargets(source))
  const serviceHosts = started.use(createServiceHosts(source, targets))
  const settings = started.use(settingsPart(source))
  const certificates = started.use(servingCertificates(source, log.child({ part: 'tls' })))
  const signing = createCertificateIssuance(options)
  const { issuance, local, challenges } = signing
  const ownCertificates = started.use(localCertificates({ source, local, clock, log }))
  const prepared =
    options.gatewayTls &&
    signing.prepare().catch((error: unknown) => {
      log.error('the own certificate authority can not be had', { error })
    })
  const shared = started.use(createSharedHosts(source, targets))
  started.use(gatewayCertificates(source, certificates))
  const ingresses = started.use(createIngressView(source, targets, shared))
  const link = started.use(
    connectGateway({
      socketPath: layout.gatewaySocket,
      source,
      ingresses,
      parts: [
        targets,
        serviceHosts,
        settings,
        shared,
        certificates,
        ownCertificates,
        challenges,
        ...(options.parts ?? []),
      ],
      clock,
      log: log.child({ part: 'gateway-link' }),
    }),
  )
  const process: GatewayProcessOptions = {
    socketPath: layout.gatewaySocket,
    logPath: layout.gatewayLog,
    programDir: layout.programs,
    http: options.gateway,
    https: options.gatewayTls,
    admin: options.metrics,
    workers: options.gatewayWorkers ?? 1,
    clock,
    log,
  }
  const supervision = started.use(superviseGateway(link, process))
  const hello = await greeting(link, clock, layout.gatewayLog)

  const domain = options.domain ?? (await storedDomain(client)) ?? 'localhost'
  await installServing(client, {
    domain,
    ...(opensOnThisMachine(domain) && {
      domainPort: hello.http.port,
      ...(hello.https && { domainHttpsPort: hello.https.port }),
    }),
    gateway: hello.http,
  })
  await installRouting(client, hello.http.port)

  // Before the controllers look: what an authority signed that is no more is signed anew.
  await prepared
  let decided: (revision: ObjectKey) => void = () => {}
  const autoscaler = createAutoscaler({ clock, onDecision: (key) => decided(objectKey(key)) })
  started.use(autoscaler.start())
  const controllers = started.use(
    startServingControllers({
      ...options,
      autoscaler,
      link,
      issuance,
      gateway: hello.http,
      gatewayReady: () => link.connected,
    }),
  )
  started.use(
    startRoutingControllers({
      ...options,
      hosts: shared,
      link,
      gatewayAddress: callableAddress(hello.http.host),
    }),
  )
  const coldStarts = started.use(startColdStarts(options))
  decided = (revision) => {
    coldStarts.decided(revision)
    controllers.decided(revision)
  }
  autoscaler.setConnected(link.connected)
  started.use(link.onConnected((connected) => autoscaler.setConnected(connected)))
  started.use(link.onStats((stats) => autoscaler.record(stats)))
  started.use(
    link.onWake((revision) => {
      coldStarts.woken(revision)
      autoscaler.wake(keyText(revision))
    }),
  )
  started.use(link.onCertificateWanted((host) => ownCertificates.wanted(host)))
  started.use(link.onCold((request) => coldStarts.answered(request)))
  await informers.synced()

  const running = started.move()
  return {
    link,
    gateway: hello.http,
    local: hello.local,
    https: hello.https,
    metrics: hello.admin,
    coldStarts,
    async [Symbol.asyncDispose]() {
      // Otherwise the gateway that is stopped here would be started again.
      supervision[Symbol.dispose]()
      await link.stop(gatewayGraceMs)
      await running[Symbol.asyncDispose]()
    },
  }
}

/** Hosts under these domains resolve to this machine, so their URLs work when they name the gateway's port. */
const opensOnThisMachine = (domain: string): boolean =>
  /(^|\.)localhost$|\.(sslip|nip)\.io$/.test(domain)

async function storedDomain(client: Client): Promise<string | undefined> {
  try {
    const map = await client.get(ConfigMap, { namespace: 'knative-serving', name: 'config-domain' })
    return map.metadata.annotations?.[managedDomain]
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}

/** How long a gateway may take to start before the start of the platform is given up. */
const gatewayStartMs = 10_000

function greeting(link: GatewayLink, clock: Clock, logPath: string): Promise<Hello> {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (!link.connected || !link.hello) return
      end()
      resolve(link.hello)
    }
    const cancel = clock.after(gatewayStartMs, () => {
      end()
      reject(
        new Error(
          `the gateway did not start within ${gatewayStartMs / 1000} s: ${logPath} says why`,
        ),
      )
    })
    const listener = link.onConnected(check)
    const end = () => {
      cancel()
      listener[Symbol.dispose]()
    }
    check()
  })
}

function objectKey(text: string): ObjectKey {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}

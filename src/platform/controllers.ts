/** Only Knative: serving controllers, autoscaler and a gateway as clients of somebody else's Kubernetes API. */
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openContentStore } from '../image/content-store.ts'
import { createInformers } from '../kube/client/informer.ts'
import { httpApi } from '../kube/client/node/http-api.ts'
import { readKubeconfig } from '../kube/client/node/kubeconfig.ts'
import { createRecorder } from '../kube/client/recorder.ts'
import { typedClient } from '../kube/client/typed-client.ts'
import { pullKeys } from '../kube/kubelet/images/pull-secrets.ts'
import { openImages } from '../kube/kubelet/images/images.ts'
import { routingKinds } from '../routing/api/kinds.ts'
import { Certificate } from '../serving/api/certificate.ts'
import { ClusterDomainClaim } from '../serving/api/cluster-domain-claim.ts'
import { ColdStart } from '../serving/api/cold-start.ts'
import { DomainMapping } from '../serving/api/domain-mapping.ts'
import { systemClock } from '../lib/clock.ts'
import { jsonLog, type LogLevel } from '../lib/log.ts'
import { systemRandom } from '../lib/random.ts'
import {
  addressText,
  layoutOf,
  registryEnvironment,
  type Address,
  type WantedAddress,
} from './config.ts'
import { openImageSource } from './images/image-source.ts'
import { takeControl } from './control-socket.ts'
import { ensureGatewayProcess } from './gateway/gateway-process.ts'
import { startServing } from './serving.ts'

export interface ControllersConfig {
  readonly kubeconfig: string
  /** Holds the gateway's socket and log; not the other platform's own directory. */
  readonly dataDir: string
  readonly gateway: Address
  readonly gatewayTls: WantedAddress | undefined
  readonly metrics: WantedAddress | undefined
  readonly domain?: string
  readonly logLevel: LogLevel
}

/** Without these a cluster is served all the same. */
const optionalKinds = [...routingKinds, DomainMapping, ClusterDomainClaim, Certificate, ColdStart]

export interface Controllers extends AsyncDisposable {
  readonly server: string
  readonly gateway: string
  /** Absent without TLS. */
  readonly gatewayTls?: string
}

export async function startControllers(
  config: ControllersConfig,
  stop: { request(): void },
): Promise<Controllers> {
  const layout = layoutOf(config.dataDir)
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  await using started = new AsyncDisposableStack()
  started.use(await takeControl(layout.controlSocket, () => stop.request()))
  const clock = systemClock
  const log = jsonLog(
    (line) => void process.stderr.write(line),
    config.logLevel,
    () => clock.now(),
  )
  const { api: server } = await readKubeconfig(config.kubeconfig)
  const api = started.use(httpApi({ ...server, userAgent: 'ebb-controllers' }))
  const client = typedClient(api, { user: { username: '', groups: [] }, durable: false })
  const informers = started.use(createInformers({ client, clock, log, optional: optionalKinds }))
  const recorder = createRecorder({ client, clock, random: systemRandom, log })
  const store = await openContentStore(imageDirectory(config))
  const source = started.use(
    openImageSource({ store, informers, clock, log, environment: registryEnvironment() }),
  )
  const images = openImages(store, undefined, source.registry)
  await ensureGatewayProcess({
    socketPath: layout.gatewaySocket,
    logPath: layout.gatewayLog,
    programDir: layout.programs,
    http: config.gateway,
    https: config.gatewayTls,
    admin: config.metrics,
    clock,
    log,
  })
  const serving = started.use(
    await startServing({
      client,
      informers,
      clock,
      random: systemRandom,
      log,
      recorder,
      layout,
      gateway: config.gateway,
      gatewayTls: config.gatewayTls,
      metrics: config.metrics,
      ...(config.domain !== undefined && { domain: config.domain }),
      resolveDigest: (image, identity) => images.resolve(image, () => pullKeys(client, identity)),
    }),
  )
  const running = started.move()
  return {
    server: server.server,
    gateway: `http://${addressText(serving.gateway)}`,
    ...(serving.https && { gatewayTls: `https://${addressText(serving.https)}` }),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** Images that `ebb build` made for the platform whose kubeconfig this is; else those of our own directory. */
function imageDirectory({ kubeconfig, dataDir }: ControllersConfig): string {
  const beside = dirname(kubeconfig)
  return existsSync(join(beside, 'endpoints.json')) ? beside : dataDir
}

/**
 * A Kubernetes in this process: store, API server with its HTTPS front, Kubernetes' own controllers, and the node agent
 * with its runtime.
 */
import { isIPv4 } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { sleep, type Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Random } from '../lib/random.ts'
import { openContentStore } from '../image/content-store.ts'
import { unpackAside } from '../image/unpack-aside.ts'
import { coreKinds, viewKinds } from '../kube/api/kinds.ts'
import type { UserInfo } from '../kube/api/kind.ts'
import { Pod } from '../kube/api/pod.ts'
import { createApiServer } from '../kube/apiserver/api-server.ts'
import { serveHttp, type AnswerStream } from '../kube/apiserver/http/http.ts'
import { awaited } from '../kube/apiserver/streams/pod-streams.ts'
import { podTraffic } from '../kube/apiserver/streams/traffic.ts'
import { createInformers } from '../kube/client/informer.ts'
import { createRecorder } from '../kube/client/recorder.ts'
import { typedClient, type TypedClient } from '../kube/client/typed-client.ts'
import type { ControllerDeps } from '../kube/controller/loop.ts'
import { QueueMetrics } from '../kube/controller/queue-metrics.ts'
import { startKubeControllers } from '../kube/controllers/controllers.ts'
import { startKubelet } from '../kube/kubelet/kubelet.ts'
import { createUsageMeter, type UsageMeter } from '../kube/kubelet/process/usage-meter.ts'
import { claimedFolder } from '../kube/kubelet/volumes/claimed-folder.ts'
import { machineAddress } from '../kube/kubelet/node-status.ts'
import { openImages, type PrepareImage } from '../kube/kubelet/images/images.ts'
import type { OnPodStep } from '../kube/kubelet/pod/pod-steps.ts'
import { openPodLogs } from '../kube/kubelet/logs/pod-logs.ts'
import { podStreams, type PodStreams } from '../kube/kubelet/pod/pod-streams.ts'
import { pullKeys, type PullIdentity } from '../kube/kubelet/images/pull-secrets.ts'
import type { Images } from '../kube/kubelet/runtime.ts'
import { unmountBelow } from '../kube/kubelet/volumes/memory-volume.ts'
import { openSqliteStore } from '../kube/store/sqlite-store.ts'
import { configMapAdmission } from '../serving/api/config-maps.ts'
import { eventingConfigAdmission } from '../eventing/api/config/config-maps.ts'
import type { TokenIssuer } from '../eventing/broker/feed.ts'
import { eventingKinds } from '../eventing/api/kinds.ts'
import { sinkBindingAdmission } from '../eventing/controllers/sources/sink-binding/admission.ts'
import { routingKinds } from '../routing/api/kinds.ts'
import { routeAdmission } from '../routing/controllers/admission.ts'
import { servingKinds } from '../serving/api/kinds.ts'
import { openAccess } from './access/access.ts'
import { serveToPods } from './access/api-for-pods.ts'
import { frozenMemoryLimit, leftEndpoints } from './freezing.ts'
import { ensureCertificates, type Certificates } from './access/certificates.ts'
import {
  registryEnvironment,
  sinkBindingSelection,
  type Layout,
  type PlatformConfig,
} from './config.ts'
import { ownIssuer } from './events/senders.ts'
import { namesForPods, type NamesForPods } from './gateway/names-for-pods.ts'
import { openRuntime } from './images/container-runtime.ts'
import { startCertificateSigner } from './access/certificate-signer.ts'
import { startEmbeddedRegistry } from './images/embedded-registry.ts'
import { startImageCollector } from './images/image-collector.ts'
import { openImageSource } from './images/image-source.ts'

export interface KubeOptions {
  readonly config: PlatformConfig
  readonly layout: Layout
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** For the person at the terminal: the log may be on the very disk that is full. */
  readonly tell: (news: string) => void
  /** Resolves when the gateway has no request in flight to the pod any more; asked before a pod is stopped. */
  readonly drained: (pod: Pod) => Promise<void>
  /** Answers subresources of others first: what of Eventing streams. */
  readonly answerStream?: AnswerStream
  /** Is told each step of a pod's start. */
  readonly onPodStep: OnPodStep
}

export interface Kube extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly certificates: Certificates
  readonly images: Images
  /** Of the embedded registry, if there is one. */
  readonly registryPort: number | undefined
  /** The digest a Revision's image has now. */
  readonly resolveDigest: (image: string, identity: PullIdentity) => Promise<string>
  /** By which programs in pods find each other. */
  readonly names: Pick<NamesForPods, 'leadTo' | 'leadSecureTo'>
  /** For controllers in this process. */
  readonly deps: ControllerDeps & { readonly client: TypedClient }
  /** For what acts with the rights of somebody else, or promises what it has written. */
  readonly clientAs: (user: UserInfo, durable?: boolean) => TypedClient
  /** Whose ServiceAccount tokens are believed, with the keys to check them. */
  readonly tokenIssuer: () => TokenIssuer
  /** For a start that fails: disposing leaves pods running that were found running. */
  keepFoundPods(): void
}

/** Time for a gateway of another process to hear that a pod is not ready, and to finish what it has sent there. */
const foreignGatewayMs = 2_000

/** Controllers act as an administrator whose writes need not wait for the disk: they would redo a lost one. */
const controllerUser: UserInfo = {
  username: 'system:serviceaccount:kube-system:ebb',
  groups: ['system:masters', 'system:authenticated'],
}

export async function startKube(options: KubeOptions): Promise<Kube> {
  const { config, layout, clock, random, log } = options
  await using started = new AsyncDisposableStack()
  const certificatesFor = (...ips: readonly string[]) =>
    ensureCertificates(layout.certificates, {
      hosts: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
      ips: [
        '127.0.0.1',
        '::1',
        '10.96.0.1',
        ...(/^[\d.]+$/.test(config.api.host) ? [config.api.host] : []),
        ...ips,
      ],
      clock,
    })
  const [store, certificates, contents, access] = await Promise.all([
    openSqliteStore({
      path: layout.database,
      log: log.child({ part: 'store' }),
      onHealth: (failure) =>
        options.tell(
          failure
            ? `${failure.message} Changes are refused until then; what runs goes on.`
            : 'the store takes changes again',
        ),
    }),
    certificatesFor(),
    openContentStore(layout.dataDir),
    openAccess(config.access ?? {}, layout, { clock, log: log.child({ part: 'access' }) }),
  ])
  started.use(store)
  started.use(access)
  const kinds = [...coreKinds, ...servingKinds, ...routingKinds, ...eventingKinds]
  const meter = Promise.withResolvers<UsageMeter>()
  const api = started.use(
    createApiServer({
      store,
      kinds: [...kinds, ...viewKinds],
      usage: {
        pods: async () => (await meter.promise).pods(),
        nodes: async () => (await meter.promise).nodes(),
      },
      clock,
      random,
      log: log.child({ part: 'api' }),
      admission: [
        configMapAdmission,
        eventingConfigAdmission,
        ...routeAdmission,
        ...sinkBindingAdmission(sinkBindingSelection()),
      ],
      rootCA: certificates.ca,
      access: access.access,
    }),
  )
  const client = typedClient(api, { user: controllerUser, durable: false })
  const informers = started.use(
    createInformers({ client, clock, log: log.child({ part: 'informers' }) }),
  )
  const recorder = createRecorder({ client, clock, random, log })
  const queues = new QueueMetrics()
  const deps = {
    queueMetrics: queues,
    client,
    informers,
    clock,
    random,
    log: log.child({ part: 'controllers' }),
    recorder,
  }
  const source = started.use(
    openImageSource({
      store: contents,
      informers,
      clock,
      log: log.child({ part: 'images' }),
      environment: config.registries ?? registryEnvironment(),
    }),
  )
  const logs = started.use(openPodLogs({ dataDir: layout.dataDir, clock }))
  const streams = Promise.withResolvers<PodStreams>()
  const traffic = podTraffic({ api, streams: awaited(streams.promise), clock })
  // Before anything runs, so that a port in use ends the start and not the pods of a previous run.
  const serve = (host: string, port: number, { serverKey, serverCert, ca }: Certificates) =>
    serveHttp({
      api,
      host,
      port,
      tls: { key: serverKey, cert: serverCert, ca },
      log: log.child({ part: 'api' }),
      clock,
      logs,
      ...(access.audit && { audit: access.audit }),
      moreMetrics: () => queues.text(),
      storeHealth: () => store.failure?.message,
      ...traffic,
      answerStream: (call) => options.answerStream?.(call) ?? traffic.answerStream(call),
    })
  const http = started.use(await serve(config.api.host, config.api.port, certificates))
  // Beside everything else, as nothing waits for it.
  const opening =
    config.registry &&
    startEmbeddedRegistry({
      store: contents,
      clock,
      log: log.child({ part: 'registry' }),
      dataDir: layout.dataDir,
      address: config.registry,
    })
  const listening = opening?.catch(() => undefined) // whoever waits for it below is told
  started.defer(async () => await (await listening)?.[Symbol.asyncDispose]())
  const apiAddress = { ip: reachable(config.api.host), port: http.port }
  started.use(
    startKubeControllers({
      ...deps,
      kinds,
      apiAddress,
      rootCA: certificates.ca,
      volumesFolder: join(layout.dataDir, 'volumes'),
    }),
  )
  started.use(
    startCertificateSigner({
      ...deps,
      log: log.child({ part: 'certificates' }),
      certificates: layout.certificates,
    }),
  )
  const opened = await openRuntime({
    config,
    layout,
    contents,
    clock,
    log: log.child({ part: 'runtime' }),
  })
  const runtime = started.use(opened.runtime)
  streams.resolve(podStreams({ runtime, clock }))
  const nodeName = hostname().toLowerCase()
  meter.resolve(createUsageMeter({ runtime, pods: informers.for(Pod), clock, nodeName }))
  const unpack: PrepareImage = (digest, layers, form) =>
    unpackAside(contents, digest, layers, { ...source.unpackLimits(), ...form })
  const images = opened.withOwnImages(
    openImages(contents, opened.prepareImage ?? unpack, source.registry),
  )
  const keepFoundPods = () => runtime.adopted && runtime.detach()
  let ready = false
  started.defer(() => void (ready || keepFoundPods()))
  started.defer(async () => void (ready && (await unmountBelow(join(layout.dataDir, 'pods')))))
  const apiForPods = started.use(
    serveToPods({
      listening: { host: config.api.host, port: http.port },
      hostIP: runtime.hostIP,
      certificatesFor,
      serve,
      log: log.child({ part: 'api' }),
    }),
  )
  const names = started.use(
    namesForPods({
      hostIP: runtime.hostIP,
      informers,
      clock,
      log: log.child({ part: 'names' }),
    }),
  )
  started.use(
    await startKubelet({
      ...deps,
      log: log.child({ part: 'kubelet' }),
      runtime,
      images,
      logs,
      nodeName,
      dataDir: layout.dataDir,
      apiForPods: apiForPods.address,
      clusterDNS: names.dns,
      claim: (namespace, name) => claimedFolder(client, namespace, name),
      beforeStop: options.drained,
      onStep: options.onPodStep,
      async beforeFreeze(pod, signal) {
        await leftEndpoints(informers, pod, signal)
        if (signal.aborted) return
        // A gateway beside this platform hears of it by its own watch, and nobody asks it what is in flight.
        if (config.knative) await options.drained(pod)
        else await sleep(clock, foreignGatewayMs, signal)
      },
      frozenMemoryLimit: () => frozenMemoryLimit(informers),
    }),
  )
  const registry = await opening
  started.use(
    startImageCollector({
      store: contents,
      informers,
      settings: () => source.settings(),
      clock,
      log: log.child({ part: 'images' }),
    }),
  )
  await informers.synced()
  ready = true
  const running = started.move()
  return {
    url: http.url,
    port: http.port,
    certificates,
    images,
    registryPort: registry?.port,
    resolveDigest: (image, identity) => images.resolve(image, () => pullKeys(client, identity)),
    names,
    deps,
    clientAs: (user, durable = false) => typedClient(api, { user, durable }),
    tokenIssuer: () => ownIssuer(access.access.tokenKeys ?? [], access.access.issuer),
    keepFoundPods,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** The address at which a server that listens on `host` is found: every address means the machine's own. */
const reachable = (host: string): string =>
  host === '0.0.0.0' ? machineAddress() : isIPv4(host) ? host : '127.0.0.1'

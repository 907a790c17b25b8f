/**
 * The platform as one value: takes the data directory, starts every part in order with plain arguments, and stops them
 * the other way round.
 */
import {
  accessSync,
  constants,
  createWriteStream,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { jsonLog, type Log } from '../lib/log.ts'
import { systemRandom } from '../lib/random.ts'
import type { Pod } from '../kube/api/pod.ts'
import { addressText, layoutOf, type Address, type Layout, type PlatformConfig } from './config.ts'
import { takeControl } from './control-socket.ts'
import { podAddresses } from './gateway/drain.ts'
import { assertFree, isFree } from './free-address.ts'
import { createEventHosts } from './events/event-hosts.ts'
import { eventTraffic } from './events/event-traffic.ts'
import { startEventing } from './events/eventing.ts'
import { ensureGatewayProcess } from './gateway/gateway-process.ts'
import { localAuthorityPath } from './access/local-authority.ts'
import { startKube } from './kube.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { removeSocketFolder } from './remains.ts'
import { startServing, type Serving } from './serving.ts'

/** Written to `DIR/endpoints.json`. */
export interface Endpoints {
  readonly api: string
  /** Absent with --no-knative. */
  readonly gateway?: string
  /** The listener for cluster-local hosts. */
  readonly gatewayLocal?: string
  /** Absent without TLS. */
  readonly gatewayTls?: string
  /** Certificate of the authority that signs hosts no public one knows: for browsers and `curl --cacert`. */
  readonly localCA?: string
  /** Prometheus' text; absent without `--metrics`. */
  readonly metrics?: string
  /** What names of pushed images begin with: `localhost:5000`. Absent with `--registry off`. */
  readonly registry?: string
  readonly kubeconfig: string
  readonly pid: number
}

export interface Platform extends AsyncDisposable {
  readonly endpoints: Endpoints
  /** From the start of the process. */
  readonly readyAfterMs: number
}

/** Throws InUse when another platform has the directory. `stop.request` is called by `ebb down`, `tell` with what the person at the terminal should know. */
export async function startPlatform(
  wanted: PlatformConfig,
  stop: { request(): void },
  tell: (news: string) => void = () => {},
): Promise<Platform> {
  const layout = layoutOf(wanted.dataDir)
  prepareFolder(wanted.dataDir)
  await using started = new AsyncDisposableStack()
  started.defer(() => removeSocketFolder(layout))
  started.use(await takeControl(layout.controlSocket, () => stop.request()))
  const config = await withPortsOfLastTime(wanted, layout)
  const { log, close } = openLog(layout, config.logLevel)
  started.defer(close)
  const common = { clock: systemClock, random: systemRandom, log, layout }

  await assertFree(config.api, 'api')
  let serving: Serving | undefined
  let ready = false
  // What this start began ends with it when it fails; what a previous one left running stays.
  const gateway = config.knative
    ? await ensureGatewayProcess({
        socketPath: layout.gatewaySocket,
        logPath: layout.gatewayLog,
        programDir: layout.programs,
        http: config.gateway,
        https: config.gatewayTls,
        admin: config.metrics,
        workers: config.gatewayWorkers ?? 1,
        clock: systemClock,
        log,
      })
    : undefined
  started.defer(() => void (ready || gateway?.kill('SIGTERM')))
  const following = eventTraffic(layout.eventSocket)
  const kube = started.use(
    await startKube({
      ...common,
      config,
      tell,
      answerStream: following.answerStream,
      async drained(pod: Pod) {
        const link = serving?.link
        if (link)
          await Promise.all(podAddresses(pod).map(({ host, port }) => link.drain(host, port)))
      },
      onPodStep: (pod, step, atMs) => serving?.coldStarts.podStep(pod, step, atMs),
    }),
  )
  started.defer(() => void (ready || kube.keepFoundPods()))
  if (config.knative) {
    const eventHosts = createEventHosts()
    serving = started.use(
      await startServing({
        ...common,
        ...kube.deps,
        gateway: config.gateway,
        gatewayTls: config.gatewayTls,
        metrics: config.metrics,
        gatewayWorkers: config.gatewayWorkers ?? 1,
        ...(config.domain !== undefined && { domain: config.domain }),
        parts: [eventHosts],
        resolveDigest: kube.resolveDigest,
        onImages: (listener) => kube.images.onTagged?.(listener),
      }),
    )
    started.use(
      await startEventing({
        ...kube.deps,
        clientAs: kube.clientAs,
        tokenIssuer: kube.tokenIssuer,
        leadSecureTo: (to) => kube.names.leadSecureTo(to),
        clusterCA: kube.certificates.ca,
        layout,
        gatewayLocal: serving.local,
        hosts: eventHosts,
      }),
    )
    following.connect({ client: kube.deps.client, gateway: serving.local })
    kube.names.leadTo(serving.local)
  }

  const endpoints: Endpoints = {
    api: kube.url,
    ...(serving && {
      gateway: `http://${addressText(serving.gateway)}`,
      gatewayLocal: `http://${addressText(serving.local)}`,
      ...(serving.https && {
        gatewayTls: `https://${addressText(serving.https)}`,
        localCA: localAuthorityPath(layout.certificates),
      }),
      ...(serving.metrics && { metrics: `http://${addressText(serving.metrics)}/metrics` }),
    }),
    ...(kube.registryPort !== undefined && { registry: `localhost:${kube.registryPort}` }),
    kubeconfig: layout.kubeconfig,
    pid: process.pid,
  }
  await writeKubeconfig(layout.kubeconfig, { server: kube.url, certificates: kube.certificates })
  await replaceFile(layout.endpoints, `${JSON.stringify(endpoints, null, 2)}\n`)
  ready = true
  const running = started.move()
  return {
    endpoints,
    readyAfterMs: performance.now(),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}

/** Nothing when the file is missing or damaged: it is written anew. */
function lastEndpoints(
  layout: Layout,
): Pick<Partial<Endpoints>, 'api' | 'gateway' | 'gatewayTls' | 'metrics' | 'registry'> {
  let found: unknown
  try {
    found = JSON.parse(readFileSync(layout.endpoints, 'utf8'))
  } catch {
    return {}
  }
  const { api, gateway, gatewayTls, metrics, registry } = Object(found) as Readonly<
    Record<string, unknown>
  >
  return {
    ...(typeof api === 'string' && { api }),
    ...(typeof gateway === 'string' && { gateway }),
    ...(typeof gatewayTls === 'string' && { gatewayTls }),
    ...(typeof metrics === 'string' && { metrics }),
    ...(typeof registry === 'string' && { registry: `http://${registry}` }),
  }
}

/** Makes the data directory when it is missing. Throws when nothing can be written into it. */
function prepareFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.W_OK | constants.X_OK)
    mkdirSync(join(path, 'log'), { recursive: true, mode: 0o700 })
    const probe = join(path, `.${process.pid}.tmp`)
    writeFileSync(probe, 'x')
    rmSync(probe)
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    throw new Error(`can't use ${path} as data directory: ${folderProblems[code] ?? message}`)
  }
}

const folderProblems: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EEXIST: 'it is not a folder',
  ENOTDIR: 'part of the path is not a folder',
  EROFS: 'the file system is read-only',
  // What Node says of a missing folder on a read-only file system.
  ENOENT: 'it can not be made there; is the file system read-only?',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
}

/**
 * Port 0 means any free one; the one of last time is as good, and keeps kubeconfig and URLs true over a crash. The
 * gateway's may be in use by the very gateway that is to be found again.
 */
async function withPortsOfLastTime(
  config: PlatformConfig,
  layout: Layout,
): Promise<PlatformConfig> {
  const last = lastEndpoints(layout)
  const keep = async (address: Address, url: string | undefined): Promise<Address> => {
    const port = Number((url !== undefined && URL.parse(url)?.port) || 0)
    if (address.port !== 0 || port === 0) return address
    const before = { host: address.host, port }
    return (await isFree(before)) ? before : address
  }
  return {
    ...config,
    api: await keep(config.api, last.api),
    gateway: await keep(config.gateway, last.gateway),
    gatewayTls: config.gatewayTls && {
      ...config.gatewayTls,
      ...(await keep(config.gatewayTls, last.gatewayTls)),
    },
    metrics: config.metrics && {
      ...config.metrics,
      ...(await keep(config.metrics, last.metrics)),
    },
    registry: config.registry && {
      ...config.registry,
      ...(await keep(config.registry, last.registry)),
    },
  }
}

function openLog(
  layout: Layout,
  level: PlatformConfig['logLevel'],
): { log: Log; close: () => Promise<void> } {
  mkdirSync(dirname(layout.log), { recursive: true, mode: 0o700 })
  const stream = createWriteStream(layout.log, { flags: 'a', mode: 0o600 })
  // A full disk must not end the platform; the store reports it where it matters.
  stream.on('error', () => {})
  return {
    log: jsonLog(
      (line) => void stream.write(line),
      level,
      () => systemClock.now(),
    ),
    close: () => new Promise((resolve) => stream.end(resolve)),
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

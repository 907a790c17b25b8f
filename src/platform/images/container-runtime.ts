/**
 * Which runtime runs the pods: processes of this machine, or a Docker engine's containers. Only one of them has the pods of
 * a data directory: what the other left behind when it was killed is ended first.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { ContentStore } from '../../image/content-store.ts'
import type { DockerRuntime } from '../../kube/kubelet/docker/docker-runtime.ts'
import type { Surroundings } from '../../kube/kubelet/docker/discovery.ts'
import type { PrepareImage } from '../../kube/kubelet/images/images.ts'
import { processRuntime } from '../../kube/kubelet/process/process-runtime.ts'
import type { Images, Runtime } from '../../kube/kubelet/runtime.ts'
import type { Layout, PlatformConfig } from '../config.ts'
import { dockerNotePath } from './docker-note.ts'

export interface ContainerRuntime extends Runtime {
  /** Pods of a previous control plane were found. */
  readonly adopted: boolean
  /** Lets go without stopping anything. */
  detach(): void
}

export interface OpenedRuntime {
  readonly runtime: ContainerRuntime
  /** How images are made ready for it; undefined = unpacked into a folder. */
  readonly prepareImage?: PrepareImage
  /** Adds what images the runtime has of its own. */
  readonly withOwnImages: (images: Images) => Images
}

export interface RuntimeOptions {
  readonly config: PlatformConfig
  readonly layout: Layout
  readonly contents: ContentStore
  readonly clock: Clock
  readonly log: Log
}

const graceMs = 5_000

/** `auto` is processes: they need nothing installed and start soonest. Throws NoEngine where Docker was asked for. */
export async function openRuntime(options: RuntimeOptions): Promise<OpenedRuntime> {
  return options.config.runtime === 'docker'
    ? await openDocker(options)
    : await openProcess(options)
}

async function openProcess({ config, layout, clock, log }: RuntimeOptions): Promise<OpenedRuntime> {
  await removeDockerRemains(layout, clock)
  const runtime = await processRuntime({
    dataDir: layout.dataDir,
    socketPath: layout.launcherSocket,
    network: config.network,
    warmInterpreters: config.warmInterpreters,
    allowPrivileged: config.allowPrivileged ?? false,
    clock,
    log,
  })
  return { runtime, withOwnImages: (images) => images }
}

async function openDocker({
  config,
  layout,
  contents: store,
  clock,
  log,
}: RuntimeOptions): Promise<OpenedRuntime> {
  const [{ findEngine }, { dockerRuntime }, { withEngineImages }, { stopLauncher }] =
    await Promise.all([
      import('../../kube/kubelet/docker/discovery.ts'),
      import('../../kube/kubelet/docker/docker-runtime.ts'),
      import('../../kube/kubelet/docker/engine-images.ts'),
      import('../remains.ts'),
    ])
  await stopLauncher(layout)
  const engine = await findEngine(surroundings(config), clock)
  const note = notePath(layout)
  const last = await readFile(note, 'utf8').catch(() => '')
  if (last !== '' && last !== engine.address) await removeDockerRemains(layout, clock)
  await writeFile(note, engine.address)
  const { dataDir } = layout
  const { allowPrivileged = false } = config
  const docker = await dockerRuntime({ engine, store, dataDir, clock, log, allowPrivileged })
  return {
    runtime: forgettingWhenStopped(docker, note),
    prepareImage: (digest) => docker.prepareImage(digest),
    withOwnImages: (images) => withEngineImages(images, engine, store),
  }
}

/** Once everything has been removed, there is nothing to look for. */
function forgettingWhenStopped(docker: DockerRuntime, note: string): ContainerRuntime {
  let detached = false
  return {
    ...docker,
    detach() {
      detached = true
      docker.detach()
    },
    async [Symbol.asyncDispose]() {
      await docker[Symbol.asyncDispose]()
      if (!detached) await rm(note, { force: true })
    },
  }
}

/** Ends and removes what a killed platform with a Docker engine left there. False when there was nothing. */
export async function removeDockerRemains(layout: Layout, clock: Clock): Promise<boolean> {
  const note = notePath(layout)
  const host = await readFile(note, 'utf8').catch(() => '')
  if (host === '') return false
  const [{ findEngine }, { platformOf, removeRemains }] = await Promise.all([
    import('../../kube/kubelet/docker/discovery.ts'),
    import('../../kube/kubelet/docker/remains.ts'),
  ])
  const around: Surroundings = {
    env: { DOCKER_HOST: host },
    home: homedir(),
    platform: process.platform,
    uid: process.getuid?.(),
  }
  using engine = await findEngine(around, clock)
  const found = await removeRemains(engine, platformOf(layout.dataDir), graceMs, clock)
  await rm(note, { force: true })
  return found
}

/** Which engine has containers of this data directory. */
const notePath = ({ dataDir }: Layout): string => dockerNotePath(dataDir)

const surroundings = ({ dockerEnvironment = {} }: PlatformConfig): Surroundings => ({
  env: dockerEnvironment,
  home: homedir(),
  platform: process.platform,
  uid: process.getuid?.(),
})

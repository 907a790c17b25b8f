/**
 * `ebb build` as a whole: source by our own toolchains, a Dockerfile by whoever can build one, base images from registries,
 * and the result to a registry. Here, because it takes an engine, registries and the content store together.
 */
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { noRegistries, type Registries } from '../../lib/registries.ts'
import { BuildError } from '../../image/build-error.ts'
import type { BuildOptions, Built } from '../../image/build.ts'
import type { DockerfileBuild, DockerfileBuilder } from '../../image/builder/dockerfile.ts'
import { openContentStore, type ContentStore, type Descriptor } from '../../image/content-store.ts'
import type { Platform } from '../../image/manifest.ts'
import type { Puller } from '../../image/registry/puller.ts'
import type { Pushed } from '../../image/registry/pusher.ts'
import { readRegistries } from '../../serving/api/config/registries.ts'
import { dockerEnvironment, layoutOf, registryEnvironment } from '../config.ts'
import { runsDocker } from './docker-note.ts'

export interface BuildRequest extends Pick<
  BuildOptions,
  | 'path'
  | 'reference'
  | 'kind'
  | 'entry'
  | 'bundle'
  | 'spa'
  | 'platform'
  | 'noCache'
  | 'mtimeS'
  | 'goCache'
> {
  readonly dataDir: string
  readonly clock: Clock
  /** Name of an image to put the program on. */
  readonly base?: string
  /** Undefined = `Dockerfile` in the folder, if there is one and no `kind` is asked for. */
  readonly dockerfile?: string
  readonly buildArgs?: Readonly<Record<string, string>>
  readonly target?: string
  readonly network?: string
  /** Mirrors, credentials and certificates; asked for when a registry is. */
  readonly registries: () => Promise<Registries>
  /** It is to be pushed: layers are compressed. */
  readonly forRegistry?: boolean
  /** Version of Ebb. */
  readonly version: string
  readonly say: (line: string) => void
}

/** Throws BuildError, InvalidReference, or a registry's refusal. */
export async function build(request: BuildRequest): Promise<Built> {
  const { path, kind, dataDir, clock } = request
  const { findDockerfile } = await import('../../image/builder/dockerfile.ts')
  const dockerfile =
    request.dockerfile ?? (kind === undefined ? await findDockerfile(path) : undefined)
  const store = await openContentStore(dataDir, clock)
  if (dockerfile !== undefined) return await buildDockerfile(request, dockerfile, store)
  const stray = request.target ?? Object.keys(request.buildArgs ?? {})[0]
  if (stray !== undefined)
    throw new BuildError(`${path} has no Dockerfile, which --target and --build-arg are for`)
  const { buildImage } = await import('../../image/build.ts')
  const { base, ...rest } = request
  const built = await buildImage({
    ...rest,
    store,
    ...(base !== undefined && { base: await baseImage(request, base, store) }),
    // A Docker engine unpacks images itself; without a platform nobody waits.
    ahead: existsSync(layoutOf(dataDir).launcherSocket) && !runsDocker(dataDir),
  })
  const isStranger =
    base === undefined && (await needsInterpreter(store, built)) && runsDocker(dataDir)
  return isStranger
    ? {
        ...built,
        notes: [
          ...built.notes,
          `the platform of ${dataDir} runs containers of Docker, where this image finds no ${built.kind === 'python' ? 'python3' : 'node'}; put it on one that has it by --base`,
        ],
      }
    : built
}

async function needsInterpreter(store: ContentStore, { digest }: Built): Promise<boolean> {
  const { hostRuntimeOf, readManifest } = await import('../../image/manifest.ts')
  const runtime = hostRuntimeOf((await readManifest(store, digest)).config)
  return runtime === 'node' || runtime === 'python'
}

/** A `registries.yaml`. Throws an Error when it can't be read. */
export function registriesFile(path: string): Registries {
  try {
    return { ...noRegistries, ...readRegistries(readFileSync(path, 'utf8')) }
  } catch (error) {
    throw new Error(`--registries ${path}: ${(error as Error).message}`, { cause: error })
  }
}

async function openPuller(request: BuildRequest, store: ContentStore): Promise<Puller> {
  const { createPuller } = await import('../../image/registry/puller.ts')
  const { dockerConfigKeyring } = await import('../../image/registry/docker-config.ts')
  const environment = registryEnvironment()
  const registries = await request.registries()
  return createPuller({
    store,
    clock: request.clock,
    settings: () => ({ registries, maxParallel: 3, maxImageBytes: 64 * 2 ** 30 }),
    keys: dockerConfigKeyring({ folder: environment.dockerConfigFolder, warn: request.say }),
    proxy: environment.proxy,
  })
}

/** The base by its name in the store, else pulled. */
async function baseImage(
  request: BuildRequest,
  name: string,
  store: ContentStore,
): Promise<{ readonly reference: string; readonly digest: string }> {
  const { parseReference, referenceText } = await import('../../image/reference.ts')
  const wanted = parseReference(name)
  const reference = referenceText(wanted)
  const { digest = await store.find(reference) } = wanted
  if (digest !== undefined && (await store.has(digest))) return { reference, digest }
  using puller = await openPuller(request, store)
  if (!puller.mayAsk(wanted))
    throw new BuildError(
      `--base ${name} is not on this machine, and no registry may be asked for it`,
    )
  request.say(`pulling ${reference}`)
  const pulled = await puller.pull(wanted, { find: async () => [] })
  return { reference, digest: pulled.digest }
}

async function buildDockerfile(
  request: BuildRequest,
  file: string,
  store: ContentStore,
): Promise<Built> {
  const { path, reference, clock, platform, target, network, noCache = false, say } = request
  const { normalizeReference } = await import('../../image/reference.ts')
  const name = normalizeReference(reference)
  if (!existsSync(file)) throw new BuildError(`${file} does not exist`)
  if (request.base !== undefined)
    throw new BuildError(`${file} says itself what it begins with (FROM); --base is for source`)
  const startedMs = clock.now()
  using opened = await openBuilder(request, file, store)
  const { builder } = opened
  say(`building ${file} by ${builder.name}`)
  const wanted: DockerfileBuild = {
    context: path,
    file,
    buildArgs: request.buildArgs ?? {},
    noCache,
    say,
    ...(target !== undefined && { target }),
    ...(network !== undefined && { network }),
    ...(platform && { platform }),
  }
  const { importArchive } = await import('../../image/archive.ts')
  const digest = await builder.build(wanted, async (archive) => {
    const [found] = await importArchive(store, archive, { nowMs: clock.now(), tag: name })
    if (!found) throw new BuildError(`${file}: ${builder.name} handed over no image`)
    if (request.forRegistry !== true) return found.digest
    const { compressLayers } = await import('../../image/builder/compress.ts')
    const { openLayerCache } = await import('../../image/builder/layer-cache.ts')
    const cache = openLayerCache(join(request.dataDir, 'build', 'layers'), store, clock)
    const compressed = await compressLayers(store, found.digest, cache)
    await store.tag(name, compressed, clock.now())
    return compressed
  })
  await attestDockerfile(store, { request, name, digest, file, builder, startedMs, platform })
  return { reference: name, digest, kind: 'dockerfile', notes: [] }
}

interface DockerfileFacts {
  readonly request: BuildRequest
  readonly name: string
  readonly digest: string
  readonly file: string
  readonly builder: DockerfileBuilder
  readonly startedMs: number
  readonly platform: Platform | undefined
}

async function attestDockerfile(store: ContentStore, facts: DockerfileFacts): Promise<void> {
  const { request, name, digest, file, builder, startedMs } = facts
  const [{ attest }, { gitCommit }, { fromImages }, { packagesOf }, { createHash }] =
    await Promise.all([
      import('../../image/builder/attestations.ts'),
      import('../../image/builder/git.ts'),
      import('../../image/builder/from-images.ts'),
      import('../../image/builder/image-packages.ts'),
      import('node:crypto'),
    ])
  const text = await readFile(file)
  const commit = await gitCommit(request.path)
  const bytes = await store.read(digest)
  const { mediaType } = JSON.parse(bytes.toString('utf8')) as { readonly mediaType?: string }
  await attest(store, {
    kind: 'dockerfile',
    reference: name,
    image: {
      mediaType: mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: bytes.length,
    },
    parameters: {
      ...(request.target !== undefined && { target: request.target }),
      // Their values may be secret.
      buildArgs: Object.keys(request.buildArgs ?? {}),
    },
    materials: [
      { name: 'Dockerfile', digest: { sha256: createHash('sha256').update(text).digest('hex') } },
      ...(commit === undefined ? [] : [{ name: 'source', digest: { gitCommit: commit } }]),
      ...fromImages(text.toString('utf8'), request.buildArgs).map((image) => ({
        uri: `oci://${image}`,
        digest: {},
      })),
    ],
    packages: await packagesOf(
      store,
      await layersOf(store, digest),
      join(request.dataDir, 'build'),
    ),
    tools: { builder: builder.name },
    version: request.version,
    startedMs,
    finishedMs: request.clock.now(),
    createdS: request.mtimeS ?? 0,
  })
}

async function layersOf(store: ContentStore, digest: string): Promise<readonly Descriptor[]> {
  const { parseManifest } = await import('../../image/manifest.ts')
  const manifest = parseManifest(await store.read(digest))
  return manifest.kind === 'image' ? manifest.layers : []
}

/** An engine, else buildah or podman. Throws BuildError that says what to install. */
async function openBuilder(
  request: BuildRequest,
  file: string,
  store: ContentStore,
): Promise<{ readonly builder: DockerfileBuilder } & Disposable> {
  const [{ findEngine, NoEngine }, { findBuildProgram, noBuilder }] = await Promise.all([
    import('../../kube/kubelet/docker/discovery.ts'),
    import('../../image/builder/dockerfile.ts'),
  ])
  let problem = ''
  try {
    const around = {
      env: dockerEnvironment(),
      home: homedir(),
      platform: process.platform,
      uid: process.getuid?.(),
    }
    const engine = await findEngine(around, request.clock)
    const { engineBuilder } = await import('../../kube/kubelet/docker/image-build.ts')
    const builder = engineBuilder(engine, (wanted) => bringImages(request, wanted, engine, store))
    return { builder, [Symbol.dispose]: () => engine[Symbol.dispose]() }
  } catch (error) {
    if (!(error instanceof NoEngine)) throw error
    problem = error.message
  }
  const builder = await findBuildProgram(join(request.dataDir, 'build'))
  if (!builder) throw noBuilder(file, problem)
  return { builder, [Symbol.dispose]() {} }
}

/**
 * Images that a Dockerfile begins with come through our own mirrors and credentials where there are some for them: the
 * engine has its own, or none. What can't be brought is left to the engine.
 */
async function bringImages(
  request: BuildRequest,
  { file, buildArgs, platform, say }: DockerfileBuild,
  engine: import('../../kube/kubelet/docker/engine.ts').Engine,
  store: ContentStore,
): Promise<void> {
  if (platform) return
  const [{ fromImages }, { parseReference, referenceText }, { dockerConfigKeyring }] =
    await Promise.all([
      import('../../image/builder/from-images.ts'),
      import('../../image/reference.ts'),
      import('../../image/registry/docker-config.ts'),
    ])
  const registries = await request.registries()
  const keys = dockerConfigKeyring({ folder: registryEnvironment().dockerConfigFolder, warn: say })
  for (const name of fromImages(await readFile(file, 'utf8'), buildArgs)) {
    const reference = (() => {
      try {
        return parseReference(name)
      } catch {
        return undefined // the engine says what is wrong with it
      }
    })()
    if (!reference || (await engine.image(name))) continue
    const { registry, repository } = reference
    const here = reference.digest ?? (await store.find(referenceText(reference)))
    const isOurs =
      here !== undefined ||
      registries.mirrors.has(registry) ||
      registries.mirrors.has('*') ||
      registries.access.has(registry) ||
      (await keys.find(registry, repository)).length > 0
    if (!isOurs) continue
    try {
      const { digest } = await baseImage(request, name, store)
      const { imageArchive } = await import('../../kube/kubelet/docker/image-archive.ts')
      if (reference.digest === undefined) await engine.loadImage(imageArchive(store, digest, name))
    } catch (error) {
      say(
        `${name} is left to the engine: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
}

/** Pushes an image of the store and what speaks about it. Throws RegistryError. */
export async function push(
  request: Pick<BuildRequest, 'dataDir' | 'clock' | 'registries' | 'say'> & {
    /** Name of the image in the registry. */
    readonly reference: string
    readonly digest: string
  },
): Promise<Pushed> {
  const { dataDir, clock, say, reference, digest } = request
  const [{ pushImage }, { dockerConfigKeyring }, { parseReference }] = await Promise.all([
    import('../../image/registry/pusher.ts'),
    import('../../image/registry/docker-config.ts'),
    import('../../image/reference.ts'),
  ])
  const { dockerConfigFolder, proxy } = registryEnvironment()
  return await pushImage(parseReference(reference), digest, {
    store: await openContentStore(dataDir, clock),
    clock,
    registries: await request.registries(),
    keys: dockerConfigKeyring({ folder: dockerConfigFolder, warn: say }),
    proxy,
    say,
  })
}

/**
 * Where the platform's images come from: the registries, as the ConfigMap config-registries and the flags say at the
 * moment, with Docker's config of whoever runs the platform. Nothing of it is loaded before an image is missing.
 */
import { readFileSync } from 'node:fs'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { ContentStore } from '../../image/content-store.ts'
import type { Puller, PullSettings } from '../../image/registry/puller.ts'
import type { Limits } from '../../image/unpack.ts'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Informers } from '../../kube/client/informer.ts'
import type { Registry } from '../../kube/kubelet/images/images.ts'
import {
  configRegistries,
  readRegistries,
  type RegistriesConfig,
} from '../../serving/api/config/registries.ts'
import { systemNamespace } from '../../serving/api/names.ts'
import type { RegistryEnvironment } from '../config.ts'

export interface ImageSourceOptions {
  readonly store: ContentStore
  readonly informers: Informers
  readonly clock: Clock
  readonly log: Log
  readonly environment: RegistryEnvironment
}

export interface ImageSource extends Disposable {
  readonly registry: Registry
  /** As they are now. */
  settings(): RegistriesConfig
  /** What an image may unpack to, now. */
  unpackLimits(): Limits
}

/** Throws an Error when the flag's file can't be read. */
export function openImageSource(options: ImageSourceOptions): ImageSource {
  const { store, informers, clock, log, environment } = options
  const ofFlag = environment.file === undefined ? undefined : readRegistriesFile(environment.file)
  const maps = informers.for(ConfigMap)
  const key = { namespace: systemNamespace, name: configRegistries.name }
  let lastGood = configRegistries.defaults
  let open: Promise<Puller> | undefined
  let disposed = false

  const settings = (): RegistriesConfig => {
    try {
      lastGood = configRegistries.from(maps.get(key))
    } catch {
      // Admission refuses such a ConfigMap; one from elsewhere counts as the last good one.
    }
    return lastGood
  }

  const pullSettings = (): PullSettings => {
    const { registries, saysRegistries, maxParallel, maxImageBytes } = settings()
    return {
      registries: {
        ...registries,
        ...(ofFlag && !saysRegistries && ofFlag),
        offline: registries.offline || environment.offline === true,
      },
      maxParallel,
      maxImageBytes,
    }
  }

  const start = async (): Promise<Puller> => {
    const { createPuller } = await import('../../image/registry/puller.ts')
    const { dockerConfigKeyring } = await import('../../image/registry/docker-config.ts')
    const puller = createPuller({
      store,
      clock,
      settings: pullSettings,
      keys: dockerConfigKeyring({
        folder: environment.dockerConfigFolder,
        warn: (message) => log.info('registry credentials', { message }),
      }),
      proxy: environment.proxy,
    })
    if (disposed) puller[Symbol.dispose]()
    return puller
  }

  return {
    registry: { clock, open: () => (open ??= start()) },
    settings,
    unpackLimits() {
      const { maxUnpackedBytes, maxCompressionRatio } = settings()
      return { maxBytes: maxUnpackedBytes, maxRatio: maxCompressionRatio }
    },
    [Symbol.dispose]() {
      disposed = true
      void open?.then((puller) => puller[Symbol.dispose]())
    },
  }
}

function readRegistriesFile(path: string): ReturnType<typeof readRegistries> {
  try {
    return readRegistries(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new Error(
      `--registries ${path}: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
  }
}

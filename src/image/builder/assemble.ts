/** Config and manifest of an image out of a program's layers, perhaps on a base (image-spec 1.1). Nothing depends on when. */
import type { ContentStore, Descriptor } from '../content-store.ts'
import { hostRuntimeLabel, manifestTypes, type Platform } from '../manifest.ts'
import { record, type Base } from './base.ts'
import { appFolder, type Program } from './program.ts'

export const [manifestType] = manifestTypes
export const configType = 'application/vnd.oci.image.config.v1+json'

export interface AssembleOptions {
  readonly store: ContentStore
  readonly program: Program
  readonly base: Base | undefined
  readonly platform: Platform
  /** Seconds since 1970 that the image says it was made at. */
  readonly mtimeS: number
}

/** Answers the manifest. */
export async function assemble(options: AssembleOptions): Promise<Descriptor> {
  const { store, program, base, platform, mtimeS } = options
  const { layers } = program
  const created = new Date(mtimeS * 1000).toISOString().replace('.000Z', 'Z')
  const config = await store.put(
    configType,
    json({
      created,
      ...platform,
      config: containerConfig(program, base),
      rootfs: {
        type: 'layers',
        diff_ids: [...(base?.diffIds ?? []), ...layers.map(({ diffId }) => diffId)],
      },
      history: [
        ...(base?.history ?? []),
        ...layers.map(({ what }) => ({ created, created_by: `ebb build (${what})` })),
      ],
    }),
  )
  return await store.put(
    manifestType,
    json({
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: [...(base?.layers ?? []), ...layers.map(({ descriptor }) => descriptor)],
      ...(base && {
        annotations: {
          'org.opencontainers.image.base.name': base.reference,
          'org.opencontainers.image.base.digest': base.digest,
        },
      }),
    }),
  )
}

/**
 * What containers of the image begin with: the program as entry point, so that `args` of a container are added to it, as
 * they are with ko and buildpacks. A base keeps its user, variables and labels.
 */
function containerConfig(program: Program, base: Base | undefined): Record<string, unknown> {
  const { command, runtime, labels = {} } = program
  const isWhole = base !== undefined || runtime === undefined
  const env = { ...(isWhole && { PORT: '8080' }), ...program.env }
  const own = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const common = {
    ExposedPorts: { ...record(base?.config['ExposedPorts']), '8080/tcp': {} },
    WorkingDir: `/${appFolder}`,
  }
  if (!isWhole)
    return {
      ...common,
      Env: own,
      Entrypoint: command,
      Labels: { ...labels, [hostRuntimeLabel]: runtime },
    }
  const inherited = (base?.env ?? []).filter((item) => !((item.split('=')[0] ?? '') in env))
  const { [hostRuntimeLabel]: _, ...baseLabels } = record(base?.config['Labels'])
  const { Healthcheck: _check, Volumes: _volumes, Cmd: _cmd, ...kept } = base?.config ?? {}
  return {
    ...kept,
    ...common,
    Env: [...inherited, ...own],
    Entrypoint: command,
    Labels: { ...baseLabels, ...labels },
  }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

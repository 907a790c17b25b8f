/**
 * Makes an OCI image (image-spec 1.1: config, manifest, gzipped tar layers) out of source, without Docker. Dependencies
 * are a layer of their own, so that a change of the program leaves them as they are. Nothing in the image depends on
 * when or where it was built: the same input makes the same digest.
 */
import { arch } from 'node:os'
import type { Clock } from '../lib/clock.ts'
import type { ContentStore } from './content-store.ts'
import { packLayer, type Layer } from './layer.ts'
import { readProject } from './project.ts'
import { normalizeReference } from './reference.ts'

export interface BuildOptions {
  /** A project's folder, or a single `.js`, `.mjs`, `.cjs` or `.ts` file. */
  readonly path: string
  readonly reference: string
  readonly store: ContentStore
  readonly clock: Clock
}

const folder = 'app'
const created = '1970-01-01T00:00:00Z'
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const configType = 'application/vnd.oci.image.config.v1+json'

/** Builds and tags. The same input makes the same digest. Throws BuildError, InvalidReference. */
export async function buildImage({
  path,
  reference,
  store,
  clock,
}: BuildOptions): Promise<{ readonly reference: string; readonly digest: string }> {
  const name = normalizeReference(reference)
  const project = await readProject(path)
  const layers: (Layer & { readonly what: string })[] = []
  if (project.modules.length > 0)
    layers.push({
      ...(await packLayer(store, project.root, project.modules, folder)),
      what: 'dependencies',
    })
  layers.push({
    ...(await packLayer(store, project.root, project.files, folder)),
    what: 'program',
  })
  const config = await store.put(
    configType,
    json({
      created,
      architecture: arch() === 'x64' ? 'amd64' : arch(),
      os: 'linux',
      config: {
        ExposedPorts: { '8080/tcp': {} },
        Env: [],
        Cmd: project.command,
        WorkingDir: `/${folder}`,
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(({ what }) => ({ created, created_by: `ebb build (${what})` })),
    }),
  )
  const manifest = await store.put(
    manifestType,
    json({
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: layers.map(({ descriptor }) => descriptor),
    }),
  )
  await store.tag(name, manifest.digest, clock.now())
  return { reference: name, digest: manifest.digest }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

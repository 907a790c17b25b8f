/**
 * Makes an OCI image (image-spec 1.1: config, manifest, gzipped tar layers) out of source, without Docker. Dependencies
 * are a layer of their own, so that a change of the program leaves them as they are. Nothing in the image depends on
 * when or where it was built: the same input makes the same digest. It is unpacked and its program compiled right away, so
 * that the first pod waits for neither.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { arch, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { Bundle } from './bundle.ts'
import { compileAhead } from './compile-cache.ts'
import type { ContentStore } from './content-store.ts'
import { hostRuntimeLabel } from './manifest.ts'
import { packLayer, type Layer } from './layer.ts'
import { readProject, type Project } from './project.ts'
import { normalizeReference } from './reference.ts'
import { unpackImage } from './unpack.ts'

export interface BuildOptions {
  /** A project's folder, or a single `.js`, `.mjs`, `.cjs` or `.ts` file. */
  readonly path: string
  readonly reference: string
  readonly store: ContentStore
  readonly clock: Clock
  /** A Node program and its packages become one file (bundle.ts); undefined = what package.json says, else not. */
  readonly bundle?: boolean
}

const folder = 'app'
const created = '1970-01-01T00:00:00Z'
export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const configType = 'application/vnd.oci.image.config.v1+json'

export interface Built {
  readonly reference: string
  readonly digest: string
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[]
}

/** Builds and tags. The same input makes the same digest. Throws BuildError, InvalidReference. */
export async function buildImage({
  path,
  reference,
  store,
  clock,
  bundle,
}: BuildOptions): Promise<Built> {
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
  const program = await bundled(project, bundle ?? project.bundle)
  if (program.file !== undefined)
    layers.push({ ...(await packBundle(store, program.file)), what: 'bundle' })
  const config = await store.put(
    configType,
    json({
      created,
      architecture: arch() === 'x64' ? 'amd64' : arch(),
      os: 'linux',
      config: {
        ExposedPorts: { '8080/tcp': {} },
        Env: [],
        Cmd: program.command,
        WorkingDir: `/${folder}`,
        Labels: { [hostRuntimeLabel]: program.command[0] === 'node' ? 'node' : 'host' },
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
  const rootfs = await unpackImage(
    store,
    manifest.digest,
    layers.map(({ descriptor }) => descriptor),
  )
  if (program.entry !== undefined)
    await compileAhead(rootfs, join(folder, program.entry), process.execPath)
  return { reference: name, digest: manifest.digest, notes: program.notes }
}

interface Program {
  readonly command: readonly string[]
  /** The file that Node starts, when it is one of the project. */
  readonly entry?: string
  readonly file?: Bundle
  readonly notes: readonly string[]
}

/** What the image starts: the project's own command or, if `wanted` and possible, one file made of it. */
async function bundled({ root, command, files }: Project, wanted: boolean): Promise<Program> {
  const [program, entry, ...args] = command
  const isNode = program === 'node' && entry !== undefined && files.includes(entry)
  const asItIs = (why?: string): Program => ({
    command,
    ...(isNode && { entry }),
    notes: why === undefined ? [] : [`not bundled: ${why}`],
  })
  if (!wanted) return asItIs()
  if (!isNode)
    return asItIs(`the command is "${command.join(' ')}"; expected node and a file of the project`)
  const { bundleProgram, NotBundled } = await import('./bundle.ts')
  try {
    const file = await bundleProgram(root, entry)
    if (files.includes(file.file)) return asItIs(`the project has a ${file.file} already`)
    return { command: [program, file.file, ...args], entry: file.file, file, notes: file.notes }
  } catch (error) {
    if (!(error instanceof NotBundled)) throw error
    return asItIs(error.message)
  }
}

async function packBundle(store: ContentStore, { file, code, map }: Bundle): Promise<Layer> {
  const stage = await mkdtemp(join(tmpdir(), 'ebb-bundle-'))
  try {
    await mkdir(dirname(join(stage, file)), { recursive: true })
    await writeFile(join(stage, file), code)
    await writeFile(join(stage, `${file}.map`), map)
    return await packLayer(store, stage, [file, `${file}.map`], folder)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/**
 * Makes an OCI image (image-spec 1.1: config, manifest, gzipped tar layers) out of source, without Docker: a toolchain of
 * builder/ makes layers of it, they are put together, perhaps on a base, and what they are made of is attached. Nothing in
 * the image depends on when or where it was built: the same input makes the same digest.
 */
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import { BuildError } from './build-error.ts'
import { prepareAhead } from './builder/ahead.ts'
import { assemble } from './builder/assemble.ts'
import { attest, type Material } from './builder/attestations.ts'
import { assertFits, readBase, type Base } from './builder/base.ts'
import { detectKind, toolchains } from './builder/detect.ts'
import type { SourceKind } from './builder/kinds.ts'
import { readFolder, type SourceFolder } from './builder/folder.ts'
import { gitCommit } from './builder/git.ts'
import { openLayerCache } from './builder/layer-cache.ts'
import { singleFile } from './builder/node.ts'
import type { Package, Program, SourceOptions } from './builder/program.ts'
import type { ContentStore } from './content-store.ts'
import { machinePlatform, platformText, type Platform } from './manifest.ts'
import { normalizeReference } from './reference.ts'

export interface BuildOptions extends SourceOptions {
  /** A project's folder, or a single `.js`, `.mjs`, `.cjs` or `.ts` file. */
  readonly path: string
  readonly reference: string
  readonly store: ContentStore
  readonly clock: Clock
  /** What the folder is; undefined = what it looks like. */
  readonly kind?: SourceKind
  /** An image of the store to put the program on. */
  readonly base?: { readonly reference: string; readonly digest: string }
  /** Default: this machine's. Another is for Go alone. */
  readonly platform?: Platform
  /** Of every file and of the image itself, in seconds since 1970. Default 0. */
  readonly mtimeS?: number
  /** Layers of earlier builds are not used. */
  readonly noCache?: boolean
  /** Unpacks and compiles the image right away, for pods that are started as processes: the first waits for neither. */
  readonly ahead?: boolean
  /** Where toolchains keep what they may need again. Default: `build` beside the store. */
  readonly cacheFolder?: string
  /** Where Go keeps what it compiled. Default: in `cacheFolder`. */
  readonly goCache?: string
  /** Version of Ebb, for the provenance. */
  readonly version?: string
  /** Lines of toolchains as they come. */
  readonly say?: (line: string) => void
}

export interface Built {
  /** Normalised. */
  readonly reference: string
  /** Of the manifest. */
  readonly digest: string
  /** `node`, `python`, `go`, `static`, `dockerfile`. */
  readonly kind: string
  /** What the user should know, a sentence each. */
  readonly notes: readonly string[]
}

/** Builds, attests and tags. The same input makes the same digest. Throws BuildError, InvalidReference. */
export async function buildImage(options: BuildOptions): Promise<Built> {
  const { path, reference, store, clock, mtimeS = 0, noCache = false, say = () => {} } = options
  const name = normalizeReference(reference)
  const startedMs = clock.now()
  const { folder, entry } = await sourceAt(path)
  const kind = options.kind ?? (entry === undefined ? await detectKind(folder) : 'node')
  const base = options.base && (await readBase(store, options.base.reference, options.base.digest))
  const platform = platformFor(options, kind, base)
  const { cacheFolder = join(store.directory, '..', 'build') } = options
  const { goCache = join(cacheFolder, 'go') } = options
  const layers = openLayerCache(join(cacheFolder, 'layers'), store, clock, { fresh: noCache })
  const onBase = base !== undefined
  const program = await toolchains[kind](
    folder,
    { store, layers, cacheFolder, goCache, mtimeS, platform, onBase, say },
    { ...options, ...(entry !== undefined && { entry }) },
  )
  const image = await assemble({ store, program, base, platform, mtimeS })
  await Promise.all([
    attest(store, {
      kind,
      reference: name,
      image,
      parameters: parametersOf(options, kind),
      materials: await materialsOf(folder, program, base),
      packages: [...program.packages, ...(await basePackages(store, base, cacheFolder))],
      tools: program.tools,
      version: options.version ?? '0',
      startedMs,
      finishedMs: clock.now(),
      createdS: mtimeS,
    }),
    options.ahead && !onBase && prepareAhead(store, clock, cacheFolder, image.digest, program),
  ])
  await store.tag(name, image.digest, clock.now())
  const notes = [...program.notes, ...warnings(folder, program, base)]
  return { reference: name, digest: image.digest, kind, notes }
}

/** What cannot be read of a base is not described; its layers are checked where they are unpacked. */
async function basePackages(
  store: ContentStore,
  base: Base | undefined,
  cacheFolder: string,
): Promise<readonly Package[]> {
  if (!base) return []
  const { packagesOf } = await import('./builder/image-packages.ts')
  return await packagesOf(store, base.layers, cacheFolder).catch(() => [])
}

async function sourceAt(path: string): Promise<{ folder: SourceFolder; entry?: string }> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new BuildError(`${path} does not exist`)
  if (found.isDirectory()) return { folder: await readFolder(path) }
  if (!/\.[cm]?[jt]s$/.test(path))
    throw new BuildError(
      `${path}: expected a JavaScript or TypeScript file or a folder; to run an executable, put it into a folder with a Procfile (web: ./server)`,
    )
  const entry = basename(path)
  return { folder: singleFile(path, entry), entry }
}

/** Throws BuildError where the toolchain, or the base, is for another machine. */
function platformFor(
  { platform }: BuildOptions,
  kind: SourceKind,
  base: Base | undefined,
): Platform {
  const machine = machinePlatform()
  const wanted = platform ?? base?.platform ?? machine
  if (kind !== 'go' && kind !== 'static' && platformText(wanted) !== platformText(machine))
    throw new BuildError(
      `${kind} projects are built for this machine (${platformText(machine)}), as their packages are; found ${platformText(wanted)}`,
    )
  if (base) assertFits(base, wanted)
  return wanted
}

/** What decided about the image beside the source; no paths of this machine. */
function parametersOf(options: BuildOptions, kind: SourceKind): Readonly<Record<string, unknown>> {
  const { entry, bundle, spa, platform, base } = options
  return {
    kind,
    source: basename(options.path),
    ...(entry !== undefined && { entry }),
    ...(bundle !== undefined && { bundle }),
    ...(spa !== undefined && { spa }),
    ...(platform && { platform: platformText(platform) }),
    ...(base && { base: base.reference }),
  }
}

async function materialsOf(
  folder: SourceFolder,
  { layers, locks }: Program,
  base: Base | undefined,
): Promise<readonly Material[]> {
  const commit = await gitCommit(folder.root)
  const program = layers.find(({ what }) => what === 'program')
  return [
    ...(program ? [{ name: 'program', digest: { sha256: program.diffId.slice(7) } }] : []),
    ...(commit === undefined ? [] : [{ name: 'source', digest: { gitCommit: commit } }]),
    ...Object.entries(locks).map(([name, sha256]) => ({ name, digest: { sha256 } })),
    ...(base ? [{ uri: `oci://${base.reference}`, digest: { sha256: base.digest.slice(7) } }] : []),
  ]
}

function warnings(
  folder: SourceFolder,
  { runtime, tools }: Program,
  base: Base | undefined,
): readonly string[] {
  const notes: string[] = []
  for (const name of ['.env', '.npmrc', '.netrc', '.pypirc'])
    if (folder.has(name))
      notes.push(
        `${name} goes into the image; if there are secrets in it, .dockerignore keeps it out`,
      )
  const version = (name: string) =>
    base?.env.find((item) => item.startsWith(`${name}=`))?.slice(name.length + 1)
  const python = runtime === 'python' ? version('PYTHON_VERSION') : undefined
  const minor = (text = '') => text.split('.').slice(0, 2).join('.')
  if (python !== undefined && minor(python) !== minor(tools['python']))
    notes.push(
      `the base brings Python ${python}, and the packages were installed for ${tools['python']}: those with compiled parts will not load`,
    )
  return notes
}

/**
 * Node and TypeScript projects: started by package.json's start script, its main file or a file with a usual name. The
 * installed packages are a layer of their own, so that a change of the program leaves them as they are; without
 * node_modules they are installed from package-lock.json. Also an executable with a Procfile, which needs no toolchain.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BuildError } from '../build-error.ts'
import type { Bundle } from '../bundle.ts'
import { layerFiles, packFiles } from '../layer.ts'
import { commandOf, procfileLine, withPrograms } from './command.ts'
import { readFolder, type SourceFolder } from './folder.ts'
import { fingerprint, treeFingerprint, type CachedLayer } from './layer-cache.ts'
import {
  appFolder,
  type ImageLayer,
  type Package,
  type Program,
  type SourceOptions,
  type Workshop,
} from './program.ts'
import { withStage } from './stage.ts'
import { runToolWell } from './tool.ts'

const mainFiles = ['index', 'server', 'app', 'main'].flatMap((name) =>
  ['js', 'mjs', 'cjs', 'ts', 'mts', 'cts'].map((extension) => `${name}.${extension}`),
)

interface Manifest {
  readonly main?: unknown
  readonly ebb?: unknown
  readonly scripts?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, unknown>>
}

/** Throws BuildError. */
export async function buildNode(
  folder: SourceFolder,
  workshop: Workshop,
  options: SourceOptions,
): Promise<Program> {
  const { root, files } = folder
  const manifest = await readManifest(folder)
  const line = await procfileLine(folder)
  const own = await startCommand(folder, manifest, line, options.entry)
  const asksForBundle = wantsBundle(root, manifest)
  const isNode = manifest !== undefined || own[0] === 'node'
  const layers: ImageLayer[] = []
  const dependencies = await dependencyLayer(folder, manifest, workshop)
  if (dependencies)
    layers.push({ ...dependencies, what: 'dependencies', folder: `${appFolder}/node_modules` })
  const { store, mtimeS } = workshop
  const packed = await packFiles(store, layerFiles(root, files, appFolder), mtimeS)
  layers.push({ ...packed, what: 'program' })
  const started = await bundled(folder, own, options.bundle ?? asksForBundle)
  if (started.file) {
    const { file, code, map } = started.file
    const both = [
      { name: `${appFolder}/${file}`, from: code },
      { name: `${appFolder}/${file}.map`, from: map },
    ]
    layers.push({ ...(await packFiles(store, both, mtimeS)), what: 'bundle' })
  }
  return {
    layers,
    // A plain process has node_modules/.bin in its PATH.
    command: workshop.onBase ? onBase(started.command, folder) : started.command,
    env: {},
    runtime: isNode ? 'node' : 'host',
    packages: dependencies?.packages ?? [],
    tools: isNode ? { node: process.versions.node } : {},
    locks: await locksOf(folder, [
      'package-lock.json',
      'npm-shrinkwrap.json',
      'pnpm-lock.yaml',
      'yarn.lock',
    ]),
    notes: started.notes,
    ...(started.entry !== undefined && { entry: started.entry }),
  }
}

/** True when the folder says by itself how Node starts it. */
export async function startsNode(folder: SourceFolder): Promise<boolean> {
  const manifest = await readManifest(folder)
  const start = manifest?.scripts?.['start']
  if (typeof start === 'string' && start.trim() !== '') return true
  return typeof manifest?.main === 'string' || mainFiles.some((file) => folder.has(file))
}

/** SHA-256 of those files that are there. */
export async function locksOf(
  { text }: SourceFolder,
  names: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const { createHash } = await import('node:crypto')
  const locks: Record<string, string> = {}
  for (const name of names) {
    const found = await text(name)
    if (found !== undefined) locks[name] = createHash('sha256').update(found).digest('hex')
  }
  return locks
}

function onBase(command: readonly string[], { modules }: SourceFolder): readonly string[] {
  const bin = 'node_modules/.bin'
  const line = command[0] === '/bin/sh' ? (command[2] ?? '') : command.join(' ')
  return withPrograms(line, bin, (program) => modules.includes(`${bin}/${program}`))
}

async function startCommand(
  { root, has }: SourceFolder,
  manifest: Manifest | undefined,
  procfile: string | undefined,
  entry: string | undefined,
): Promise<readonly string[]> {
  if (entry !== undefined) {
    const file = entry.replace(/^\.\//, '')
    if (!has(file)) throw new BuildError(`${root}: --entry ${entry} is not there`)
    return ['node', file]
  }
  if (procfile !== undefined) return commandOf(procfile)
  const start = manifest?.scripts?.['start']
  if (typeof start === 'string' && start.trim() !== '') return commandOf(start.trim())
  if (typeof manifest?.main === 'string') {
    const main = manifest.main.replace(/^\.\//, '')
    const file = [main, `${main}.js`, `${main}/index.js`].find((name) => has(name))
    if (file === undefined)
      throw new BuildError(
        `${root}: package.json says "main": "${manifest.main}", which is not there`,
      )
    return ['node', file]
  }
  const file = mainFiles.find((name) => has(name))
  if (file !== undefined) return ['node', file]
  throw new BuildError(
    `${root}: found nothing to start; expected a package.json with a start script or main, ` +
      'an index, server or app file (.js, .mjs, .ts), or an executable with a Procfile (web: ./server)',
  )
}

/** Undefined when there is no package.json. Throws BuildError when it is none. */
async function readManifest({ root, text }: SourceFolder): Promise<Manifest | undefined> {
  const found = await text('package.json')
  if (found === undefined) return undefined
  try {
    const value: unknown = JSON.parse(found)
    if (typeof value === 'object' && value !== null) return value as Manifest
  } catch {
    // reported below
  }
  throw new BuildError(`${join(root, 'package.json')}: expected a JSON object`)
}

function wantsBundle(root: string, manifest: Manifest | undefined): boolean {
  const ebb = manifest?.ebb
  if (ebb === undefined) return false
  const bundle: unknown = typeof ebb === 'object' && ebb ? Reflect.get(ebb, 'bundle') : ebb
  if (bundle !== undefined && typeof bundle !== 'boolean')
    throw new BuildError(
      `${join(root, 'package.json')}: expected "ebb": { "bundle": true } or false, found ${JSON.stringify(ebb)}`,
    )
  return bundle ?? false
}

/** Packages as they are installed, else as package-lock.json has them; undefined when there are none. */
async function dependencyLayer(
  folder: SourceFolder,
  manifest: Manifest | undefined,
  workshop: Workshop,
): Promise<CachedLayer | undefined> {
  const { root, modules, text } = folder
  const wanted = Object.keys(manifest?.dependencies ?? {})
  if (modules.length === 0) {
    if (wanted.length === 0) return undefined
    const lock = (await text('package-lock.json')) ?? (await text('npm-shrinkwrap.json'))
    if (lock !== undefined) return await installed(folder, lock, workshop)
  }
  const missing = wanted.filter(
    (name) =>
      !modules.some(
        (file) => file.startsWith(`node_modules/${name}/`) || file === `node_modules/${name}`,
      ),
  )
  if (missing.length > 0)
    throw new BuildError(
      `${root}: ${missing.slice(0, 5).join(', ')} ${missing.length > 1 ? 'are' : 'is'} named in package.json but not installed; run "npm install" there first`,
    )
  const key = fingerprint(['npm', String(workshop.mtimeS), treeFingerprint(root, modules)])
  return await workshop.layers.keep(key, () => packModules(root, modules, workshop))
}

async function packModules(
  root: string,
  modules: readonly string[],
  { store, mtimeS }: Workshop,
): Promise<CachedLayer> {
  const [layer, packages] = await Promise.all([
    packFiles(store, layerFiles(root, modules, appFolder), mtimeS),
    npmPackages(root, modules),
  ])
  return { ...layer, packages }
}

/** `npm ci` into a folder of its own, so that the project stays as it is. */
async function installed(
  folder: SourceFolder,
  lock: string,
  workshop: Workshop,
): Promise<CachedLayer> {
  const manifest = (await folder.text('package.json')) ?? ''
  const { platform } = workshop
  const key = fingerprint([
    'npm ci',
    String(workshop.mtimeS),
    `${platform.os}/${platform.architecture} ${process.versions.modules}`,
    manifest,
    lock,
  ])
  return await workshop.layers.keep(key, async () => {
    workshop.say('npm ci')
    return await withStage(workshop.cacheFolder, async (stage) => {
      await writeFile(join(stage, 'package.json'), manifest)
      await writeFile(join(stage, 'package-lock.json'), lock)
      const npmrc = await folder.text('.npmrc')
      if (npmrc !== undefined) await writeFile(join(stage, '.npmrc'), npmrc)
      await runToolWell(
        'npm',
        ['ci', '--omit=dev', '--no-audit', '--no-fund', '--no-update-notifier'],
        `the packages of ${join(folder.root, 'package-lock.json')} can't be installed`,
        { cwd: stage, env: { NODE_ENV: 'production' } },
      )
      const { modules } = await readFolder(stage)
      return await packModules(stage, modules, workshop)
    })
  })
}

const packagePattern = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/@.][^/]*)\/package\.json$/

/** What is installed below node_modules, sorted, each version once. */
async function npmPackages(root: string, modules: readonly string[]): Promise<readonly Package[]> {
  const found = new Map<string, Package>()
  for (const file of modules) {
    const name = packagePattern.exec(file)?.[1]
    if (name === undefined) continue
    const item = packageOf(name, await readFile(join(root, file), 'utf8').catch(() => ''))
    if (item) found.set(item.purl, item)
  }
  return [...found.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1))
}

/** Reads the package.json of an installed package; undefined for other files. */
export function npmPackage(path: string): ((text: string) => Package | undefined) | undefined {
  const name = packagePattern.exec(path)?.[1]
  return name === undefined ? undefined : (text) => packageOf(name, text)
}

function packageOf(folderName: string, text: string): Package | undefined {
  try {
    const { name, version, license } = Object(JSON.parse(text)) as Readonly<Record<string, unknown>>
    if (typeof version !== 'string') return undefined
    const own = typeof name === 'string' && name !== '' ? name : folderName
    return {
      name: own,
      version,
      purl: `pkg:npm/${own.replace(/^@/, '%40')}@${encodeURIComponent(version)}`,
      ...(typeof license === 'string' && license !== '' && { license }),
    }
  } catch {
    return undefined
  }
}

interface Started {
  readonly command: readonly string[]
  /** The file that Node starts, when it is one of the project. */
  readonly entry?: string
  readonly file?: Bundle
  readonly notes: readonly string[]
}

/** What the image starts: the project's own command or, if `wanted` and possible, one file made of it. */
async function bundled(
  { root, has }: SourceFolder,
  command: readonly string[],
  wanted: boolean,
): Promise<Started> {
  const [program, entry, ...args] = command
  const isNode = program === 'node' && entry !== undefined && has(entry)
  const asItIs = (why?: string): Started => ({
    command,
    ...(isNode && { entry }),
    notes: why === undefined ? [] : [`not bundled: ${why}`],
  })
  if (!wanted) return asItIs()
  if (!isNode)
    return asItIs(`the command is "${command.join(' ')}"; expected node and a file of the project`)
  const { bundleProgram, NotBundled } = await import('../bundle.ts')
  try {
    const file = await bundleProgram(root, entry)
    if (has(file.file)) return asItIs(`the project has a ${file.file} already`)
    return { command: [program, file.file, ...args], entry: file.file, file, notes: file.notes }
  } catch (error) {
    if (!(error instanceof NotBundled)) throw error
    return asItIs(error.message)
  }
}

/** A single `.js` or `.ts` file as a folder of one file. */
export const singleFile = (path: string, name: string): SourceFolder => ({
  root: dirname(path),
  files: [name],
  modules: [],
  has: (file) => file === name,
  text: async () => undefined,
})

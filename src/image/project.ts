/**
 * What a folder of source is, and how it is started: a Node or TypeScript project, a single file, or an executable with
 * a Procfile. Looks at the files only; nothing is run.
 */
import { access, lstat, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BuildError } from './build-error.ts'
import { ignoreRules } from './ignore.ts'

export interface Project {
  /** Folder the files lie in. */
  readonly root: string
  /** Of the program's own files, relative and sorted. Folders are not listed. */
  readonly files: readonly string[]
  /** Files below node_modules, likewise. */
  readonly modules: readonly string[]
  readonly command: readonly string[]
  /** package.json asks for a bundle: `"ebb": { "bundle": true }`. */
  readonly bundle: boolean
}

const mainFiles = ['index', 'server', 'app', 'main'].flatMap((name) =>
  ['js', 'mjs', 'cjs', 'ts', 'mts', 'cts'].map((extension) => `${name}.${extension}`),
)
const neverPacked = new Set(['.git', '.hg', '.svn', '.DS_Store', '.ebbignore', '.dockerignore'])
const maxFiles = 500_000

/** Reads a project. Throws BuildError when it is none. */
export async function readProject(path: string): Promise<Project> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new BuildError(`${path} does not exist`)
  if (found.isFile()) {
    if (!/\.[cm]?[jt]s$/.test(path))
      throw new BuildError(
        `${path}: expected a JavaScript or TypeScript file or a folder; to run an executable, put it into a folder with a Procfile (web: ./server)`,
      )
    const file = basename(path)
    return {
      root: dirname(path),
      files: [file],
      modules: [],
      command: ['node', file],
      bundle: false,
    }
  }
  const ignored = ignoreRules(
    (await readText(join(path, '.ebbignore'))) ??
      (await readText(join(path, '.dockerignore'))) ??
      '',
  )
  const all: string[] = []
  await walk(path, '', (file) => !ignored(file), all)
  const isModule = (file: string) => file.startsWith('node_modules/')
  // Tools' caches change with every run and are never needed.
  const modules = all.filter((file) => isModule(file) && !file.startsWith('node_modules/.cache/'))
  const files = all.filter((file) => !isModule(file))
  const command = await startCommand(path, files)
  await checkDependencies(path, modules)
  return {
    root: path,
    files: files.sort(),
    modules: modules.sort(),
    command,
    bundle: await wantsBundle(path),
  }
}

async function startCommand(root: string, files: readonly string[]): Promise<readonly string[]> {
  const procfile = await readText(join(root, 'Procfile'))
  if (procfile !== undefined) {
    const line = /^web:\s*(\S.*)$/m.exec(procfile)?.[1]
    if (line === undefined)
      throw new BuildError(`${join(root, 'Procfile')}: expected a line "web: COMMAND"`)
    return commandOf(line.trim())
  }
  const manifest = await readManifest(root)
  if (manifest) {
    const start = manifest.scripts?.['start']
    if (typeof start === 'string' && start.trim() !== '') return commandOf(start.trim())
    if (typeof manifest.main === 'string') {
      const main = manifest.main.replace(/^\.\//, '')
      const file = [main, `${main}.js`, `${main}/index.js`].find((name) => files.includes(name))
      if (file === undefined)
        throw new BuildError(
          `${root}: package.json says "main": "${manifest.main}", which is not there`,
        )
      return ['node', file]
    }
  }
  const file = mainFiles.find((name) => files.includes(name))
  if (file !== undefined) return ['node', file]
  throw new BuildError(
    `${root}: found nothing to start; expected a package.json with a start script or main, ` +
      'an index, server or app file (.js, .mjs, .ts), or an executable with a Procfile (web: ./server)',
  )
}

/** A plain command is started as it is, so that the program itself gets the signals; anything else by a shell. */
export function commandOf(line: string): readonly string[] {
  const words = line.split(/\s+/)
  const plain = words.every((word) => /^[\w@%+=:,./-]+$/.test(word)) && !words[0]?.includes('=')
  return plain ? words : ['/bin/sh', '-c', line]
}

interface Manifest {
  readonly main?: unknown
  readonly ebb?: unknown
  readonly scripts?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, unknown>>
}

async function readManifest(root: string): Promise<Manifest | undefined> {
  const text = await readText(join(root, 'package.json'))
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Manifest
  } catch {
    // reported below
  }
  throw new BuildError(`${join(root, 'package.json')}: expected a JSON object`)
}

async function wantsBundle(root: string): Promise<boolean> {
  const ebb = (await readManifest(root))?.ebb
  if (ebb === undefined) return false
  const bundle: unknown = typeof ebb === 'object' && ebb ? Reflect.get(ebb, 'bundle') : ebb
  if (bundle !== undefined && typeof bundle !== 'boolean')
    throw new BuildError(
      `${join(root, 'package.json')}: expected "ebb": { "bundle": true } or false, found ${JSON.stringify(ebb)}`,
    )
  return bundle ?? false
}

async function checkDependencies(root: string, modules: readonly string[]): Promise<void> {
  const manifest = await readManifest(root)
  const missing = Object.keys(manifest?.dependencies ?? {}).filter(
    (name) =>
      !modules.some(
        (file) => file.startsWith(`node_modules/${name}/`) || file === `node_modules/${name}`,
      ),
  )
  if (missing.length > 0)
    throw new BuildError(
      `${root}: ${missing.slice(0, 5).join(', ')} ${missing.length > 1 ? 'are' : 'is'} named in package.json but not installed; run "npm install" there first`,
    )
}

async function walk(
  root: string,
  folder: string,
  wanted: (file: string) => boolean,
  found: string[],
): Promise<void> {
  for (const entry of await readdir(join(root, folder))) {
    if (neverPacked.has(entry) && folder === '') continue
    const file = folder === '' ? entry : `${folder}/${entry}`
    const info = await lstat(join(root, file))
    // A folder that is left out may still hold a file that is not.
    if (info.isDirectory()) await walk(root, file, wanted, found)
    else if (wanted(file)) {
      if (!info.isFile() && !info.isSymbolicLink())
        throw new BuildError(
          `${join(root, file)}: only files, folders and links can be put into an image`,
        )
      found.push(file)
      if (found.length > maxFiles) throw new BuildError(`${root} has more than ${maxFiles} files`)
    }
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    await access(path)
  } catch {
    return undefined
  }
  return await readFile(path, 'utf8')
}

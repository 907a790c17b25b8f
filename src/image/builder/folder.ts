/**
 * A folder of source as a build sees it: its files without what never belongs into an image, and without what
 * `.ebbignore` or, if there is none, `.dockerignore` leaves out. Looks at the files only; nothing is run.
 */
import { readdirSync, statSync, type Dirent } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BuildError } from '../build-error.ts'
import { ignoreRules } from '../ignore.ts'

export interface SourceFolder {
  readonly root: string
  /** Relative and sorted; folders are not listed. */
  readonly files: readonly string[]
  /** Files below node_modules, likewise. */
  readonly modules: readonly string[]
  readonly has: (file: string) => boolean
  /** Undefined when there is none. Also of files that stay out of the image. */
  readonly text: (file: string) => Promise<string | undefined>
}

const neverPacked = new Set(['.git', '.hg', '.svn', '.DS_Store', '.ebbignore', '.dockerignore'])
const maxFiles = 500_000
/** What unpacking accepts by default. */
const maxBytes = 16 * 2 ** 30

/** Throws BuildError for what can't be put into an image, and for too much of it. */
export async function readFolder(root: string): Promise<SourceFolder> {
  const text = (file: string) => readFile(join(root, file), 'utf8').catch(() => undefined)
  const own = await text('.ebbignore')
  const ignored = ignoreRules(own ?? (await text('.dockerignore')) ?? '')
  // There packages are installed inside the build, which is what .dockerignore has in mind.
  const ignoredModule = own === undefined ? () => false : ignored
  const files: string[] = []
  const modules: string[] = []
  let bytes = 0

  const take = (file: string, entry: Dirent, into: string[]) => {
    if (!entry.isFile() && !entry.isSymbolicLink())
      throw new BuildError(
        `${join(root, file)}: only files, folders and links can be put into an image`,
      )
    into.push(file)
    if (files.length + modules.length > maxFiles)
      throw new BuildError(
        `${root} has more than ${maxFiles} files; is it the folder that was meant? .dockerignore leaves files out`,
      )
    if (into === files && entry.isFile()) bytes += sizeOf(join(root, file))
    if (bytes > maxBytes)
      throw new BuildError(
        `${root} has more than ${maxBytes / 2 ** 30} GiB; is it the folder that was meant? .dockerignore leaves files out`,
      )
  }

  const walk = (folder: string, isModules: boolean) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const { name } = entry
      if (folder === '' && neverPacked.has(name)) continue
      const file = folder === '' ? name : `${folder}/${name}`
      if (entry.isDirectory()) {
        // Tools' caches change with every run and are never needed.
        if (name === '__pycache__' || file === 'node_modules/.cache') continue
        // A virtual environment of Python is bound to its place on this machine.
        if (!isModules && isThere(join(root, file, 'pyvenv.cfg'))) continue
        // A folder that is left out may still hold a file that is not.
        walk(file, isModules || file === 'node_modules')
      } else if (isModules || file === 'node_modules') {
        if (!ignoredModule(file)) take(file, entry, modules)
      } else if (!name.endsWith('.pyc') && !ignored(file)) take(file, entry, files)
    }
  }
  walk('', false)
  files.sort()
  modules.sort()
  const set = new Set(files)
  return { root, files, modules, has: (file) => set.has(file), text }
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0
const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

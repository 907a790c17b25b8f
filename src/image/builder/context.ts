/** The files of a build context, as a builder elsewhere is sent them: everything but what is ignored, with its own modes. */
import { readdirSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { BuildError } from '../build-error.ts'
import type { LayerFile } from '../layer.ts'

const maxFiles = 500_000

/** Sorted by name. Sockets and the like are left out, as Docker does. */
export function readContext(
  root: string,
  ignored: (path: string) => boolean,
): readonly LayerFile[] {
  const files: LayerFile[] = []
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const name = folder === '' ? entry.name : `${folder}/${entry.name}`
      const from = join(root, name)
      const out = ignored(name)
      if (entry.isDirectory()) {
        if (!out) files.push({ name: `${name}/`, from, mode: lstatSync(from).mode & 0o7777 })
        // A folder that is left out may still hold a file that is not.
        walk(name)
      } else if (!out && entry.isSymbolicLink()) files.push({ name, from, anyLink: true })
      else if (!out && entry.isFile())
        files.push({ name, from, mode: lstatSync(from).mode & 0o7777 })
      if (files.length > maxFiles)
        throw new BuildError(
          `the context ${root} has more than ${maxFiles} files; is it the folder that was meant? .dockerignore leaves files out`,
        )
    }
  }
  walk('')
  return files.sort((a, b) => (a.name < b.name ? -1 : 1))
}

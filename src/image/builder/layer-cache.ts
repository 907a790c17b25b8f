/**
 * Layers that were packed before, by a fingerprint of what went into them: a rebuild that only changes the program reuses
 * its dependencies without reading them. Small files beside the images; whatever is damaged or gone is made again.
 */
import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import type { ContentStore } from '../content-store.ts'
import { layerType, type Layer } from '../layer.ts'
import type { Package } from './program.ts'

/** A layer and what software is in it. */
export interface CachedLayer extends Layer {
  readonly packages: readonly Package[]
}

export interface LayerCache {
  /** The layer of that key, made when there is none. `fresh` = made even so. */
  keep(key: string, make: () => Promise<CachedLayer>): Promise<CachedLayer>
}

/** More are not kept; those unused for longest go. */
const maxKept = 300
/** Changes when the same files would be packed into other bytes. */
const format = 'layer 1'

/** `fresh` = nothing of what is kept is used. */
export function openLayerCache(
  folder: string,
  store: ContentStore,
  clock: Clock,
  { fresh = false }: { readonly fresh?: boolean } = {},
): LayerCache {
  return {
    async keep(key, make) {
      const path = join(folder, `${fingerprint([format, process.versions.zlib, key])}.json`)
      const found = fresh ? undefined : parse(await readFile(path, 'utf8').catch(() => ''))
      if (found && (await store.claim(found.descriptor.digest))) {
        const now = clock.now() / 1000
        await utimes(path, now, now).catch(() => {})
        return found
      }
      const made = await make()
      await mkdir(folder, { recursive: true })
      await writeFile(`${path}.${process.pid}`, JSON.stringify(made))
      await rename(`${path}.${process.pid}`, path)
      await forgetOld(folder)
      return made
    },
  }
}

/** SHA-256 of parts, in hex. */
export function fingerprint(parts: Iterable<string>): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex')
}

/**
 * Changes when any of the files may have: by inode, size and times, without reading them. The time of the last change of
 * state can't be set back by tools.
 */
export function treeFingerprint(root: string, files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of files) {
    const { ino, size, mode, mtimeMs, ctimeMs } = lstatSync(join(root, file))
    hash.update(`${file}\0${ino} ${size} ${mode} ${mtimeMs} ${ctimeMs}\n`)
  }
  return hash.digest('hex')
}

function parse(text: string): CachedLayer | undefined {
  try {
    const { descriptor, diffId, packages } = JSON.parse(text) as Partial<CachedLayer>
    const whole =
      typeof diffId === 'string' && descriptor?.mediaType === layerType && Array.isArray(packages)
    return whole ? { descriptor, diffId, packages } : undefined
  } catch {
    return undefined
  }
}

async function forgetOld(folder: string): Promise<void> {
  const names = await readdir(folder)
  if (names.length <= maxKept) return
  const dated = await Promise.all(
    names.map(async (name) => {
      const info = await stat(join(folder, name)).catch(() => undefined)
      return { name, usedMs: info?.mtimeMs ?? 0 }
    }),
  )
  for (const { name } of dated.sort((a, b) => a.usedMs - b.usedMs).slice(0, -maxKept))
    await rm(join(folder, name), { force: true })
}

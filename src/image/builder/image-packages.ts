/**
 * What software is in an image that somebody else built, for its SBOM: what Debian's and Alpine's package managers, npm and
 * pip have noted in its files. Each layer is read once and remembered.
 */
import { createReadStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import type { ContentStore, Descriptor } from '../content-store.ts'
import { readTar } from '../tar-reader.ts'
import { npmPackage } from './node.ts'
import type { Package } from './program.ts'
import { pythonPackage } from './python.ts'

/** Packages by the file that speaks of them; null = the layer removes what lies at or below that path. */
type Found = readonly (readonly [path: string, packages: readonly Package[] | null])[]

const maxFileBytes = 32 << 20

/** Of all layers together, sorted, each once. */
export async function packagesOf(
  store: ContentStore,
  layers: readonly Descriptor[],
  cacheFolder: string,
): Promise<readonly Package[]> {
  const files = new Map<string, readonly Package[]>()
  for (const layer of layers)
    for (const [path, packages] of await ofLayer(store, layer, cacheFolder)) {
      if (packages) files.set(path, packages)
      else
        for (const known of files.keys())
          if (known === path || known.startsWith(`${path}/`)) files.delete(known)
    }
  const all = new Map([...files.values()].flat().map((item) => [item.purl, item]))
  return [...all.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1))
}

async function ofLayer(
  store: ContentStore,
  layer: Descriptor,
  cacheFolder: string,
): Promise<Found> {
  const note = join(cacheFolder, 'packages', `${layer.digest.slice(7)}.json`)
  try {
    const known: unknown = JSON.parse(await readFile(note, 'utf8'))
    if (Array.isArray(known)) return known as Found
  } catch {
    // not read yet
  }
  const found = await readLayer(store, layer)
  await mkdir(join(cacheFolder, 'packages'), { recursive: true })
  await writeFile(note, JSON.stringify(found))
  return found
}

async function readLayer(store: ContentStore, { digest, mediaType }: Descriptor): Promise<Found> {
  const file = createReadStream(store.blobPath(digest), { highWaterMark: 256 << 10 })
  const unzip = mediaType.endsWith('gzip')
    ? createGunzip()
    : mediaType.endsWith('zstd')
      ? createZstdDecompress()
      : undefined
  const stream = unzip ? file.pipe(unzip) : file
  file.on('error', (error) => stream.destroy(error))
  const found: [string, readonly Package[] | null][] = []
  try {
    for await (const entry of readTar(stream as AsyncIterable<Buffer>)) {
      const path = entry.name.replace(/^(\.?\/)+/, '')
      const hidden = /^(.*\/)?\.wh\.(.+)$/.exec(path)
      if (hidden) {
        const [, folder = '', base = ''] = hidden
        // Whiteouts are about lower layers, wherever in the tar they stand.
        found.unshift([base === '.wh..opq' ? folder.slice(0, -1) : folder + base, null])
        continue
      }
      const read = readerOf(path)
      if (!read || entry.type !== 'file' || entry.size > maxFileBytes) continue
      const chunks: Uint8Array[] = []
      for await (const chunk of entry.content()) chunks.push(Buffer.from(chunk))
      found.push([path, read(Buffer.concat(chunks).toString('utf8'))])
    }
  } finally {
    file.destroy()
    stream.destroy()
  }
  return found
}

function readerOf(path: string): ((text: string) => readonly Package[]) | undefined {
  if (path === 'var/lib/dpkg/status' || /^var\/lib\/dpkg\/status\.d\/[^.]+$/.test(path))
    return debianPackages
  if (path === 'lib/apk/db/installed' || path === 'usr/lib/apk/db/installed') return alpinePackages
  const npm = npmPackage(path)
  if (npm) return (text) => present(npm(text))
  if (path.endsWith('.dist-info/METADATA')) return (text) => present(pythonPackage(text))
  return undefined
}

const present = (item: Package | undefined): readonly Package[] => (item ? [item] : [])

function debianPackages(text: string): readonly Package[] {
  return text.split(/\n\n+/).flatMap((block) => {
    const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(block)?.[1]
    const [name, version, status] = [field('Package'), field('Version'), field('Status')]
    const isThere = status === undefined || status.endsWith(' installed')
    if (name === undefined || version === undefined || !isThere) return []
    return [{ name, version, purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}` }]
  })
}

function alpinePackages(text: string): readonly Package[] {
  return text.split(/\n\n+/).flatMap((block) => {
    const field = (letter: string) => new RegExp(`^${letter}:(.+)$`, 'm').exec(block)?.[1]
    const [name, version, license] = [field('P'), field('V'), field('L')]
    if (name === undefined || version === undefined) return []
    const purl = `pkg:apk/alpine/${name}@${encodeURIComponent(version)}`
    return [{ name, version, purl, ...(license !== undefined && { license }) }]
  })
}

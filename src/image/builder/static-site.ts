/**
 * Folders of files for browsers: the files as a layer, and below it a small server of ours for the machine's node. What
 * may be served is written down at build time, with types and hashes.
 */
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BuildError } from '../build-error.ts'
import { layerFiles, packFiles } from '../layer.ts'
import type { SourceFolder } from './folder.ts'
import { fingerprint } from './layer-cache.ts'
import { appFolder, type Program, type SourceOptions, type Workshop } from './program.ts'
import type { SiteFile } from './static-server.ts'

/** Where tools put what they made of a site, in the order in which it is looked for. */
const outputs = ['', 'dist', 'build', 'public', '_site', 'out']

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.htm': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.xml': 'application/xml',
  '.rss': 'application/rss+xml',
  '.atom': 'application/atom+xml',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
  '.ico': 'image/x-icon',
  '.bmp': 'image/bmp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.otf': 'font/otf',
  '.wasm': 'application/wasm',
  '.pdf': 'application/pdf',
  '.zip': 'application/zip',
  '.gz': 'application/gzip',
  '.mp3': 'audio/mpeg',
  '.ogg': 'audio/ogg',
  '.wav': 'audio/wav',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.ics': 'text/calendar; charset=utf-8',
  '.yaml': 'application/yaml',
  '.yml': 'application/yaml',
}

/** The folder of the site, relative to the project; undefined when there is no index.html. */
export const siteFolder = (folder: SourceFolder): string | undefined =>
  outputs.find((name) => folder.has(name === '' ? 'index.html' : `${name}/index.html`))

/** Throws BuildError. */
export async function buildStatic(
  folder: SourceFolder,
  { store, mtimeS, layers }: Workshop,
  { spa = false }: SourceOptions,
): Promise<Program> {
  const site = siteFolder(folder)
  if (site === undefined)
    throw new BuildError(
      `${folder.root}: found no index.html; expected one there or in ${outputs.slice(1).join(', ')}`,
    )
  const root = join(folder.root, site)
  const prefix = site === '' ? '' : `${site}/`
  const files = folder.files
    .filter((file) => file.startsWith(prefix))
    .map((file) => file.slice(prefix.length))
    .filter((file) => !isHidden(file))
  const source = serverSource()
  const server = await layers.keep(
    fingerprint(['static server', String(mtimeS), source]),
    async () => ({
      ...(await packFiles(
        store,
        [{ name: `${appFolder}/static-server.mjs`, from: Buffer.from(source) }],
        mtimeS,
      )),
      packages: [],
    }),
  )
  const start = Buffer.from(startSource(spa))
  const index = Buffer.from(`${JSON.stringify(await indexOf(root, files), null, 1)}\n`)
  const program = await packFiles(
    store,
    [
      ...layerFiles(root, files, `${appFolder}/site`),
      { name: `${appFolder}/site.json`, from: index },
      { name: `${appFolder}/server.mjs`, from: start },
    ],
    mtimeS,
  )
  return {
    layers: [
      { ...server, what: 'runtime' },
      { ...program, what: 'program' },
    ],
    command: ['node', 'server.mjs'],
    env: {},
    runtime: 'node',
    packages: [],
    tools: { node: process.versions.node },
    locks: {},
    notes: [],
    entry: 'server.mjs',
  }
}

/** Files and folders that begin with a dot are nobody's business, but for what RFC 8615 says. */
const isHidden = (file: string): boolean =>
  file.split('/').some((part) => part.startsWith('.') && part !== '.well-known')

async function indexOf(
  root: string,
  files: readonly string[],
): Promise<Readonly<Record<string, SiteFile>>> {
  const index: Record<string, SiteFile> = Object.create(null) as Record<string, SiteFile>
  for (const file of files) {
    const path = join(root, file)
    const info = await stat(path).catch(() => undefined)
    if (!info?.isFile()) continue // a link to nowhere, or to a folder
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
    index[file] = {
      sizeBytes: info.size,
      hash: hash.digest('hex').slice(0, 32),
      type: types[extname(file).toLowerCase()] ?? 'application/octet-stream',
    }
  }
  return index
}

/** The server as any Node reads it: without types. */
function serverSource(): string {
  const path = fileURLToPath(new URL(`static-server${import.meta.url.slice(-3)}`, import.meta.url))
  const text = readFileSync(path, 'utf8')
  if (!path.endsWith('.ts')) return text
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = () => {} // it announces itself as experimental
  try {
    return stripTypeScriptTypes(text)
  } finally {
    process.emitWarning = emitWarning
  }
}

const startSource = (spa: boolean): string =>
  `import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { serveSite } from './static-server.mjs'
const place = (name) => fileURLToPath(new URL(name, import.meta.url))
const files = JSON.parse(readFileSync(place('site.json'), 'utf8'))
serveSite({ root: place('site'), files, spa: ${spa} }, Number(process.env.PORT || 8080))
`

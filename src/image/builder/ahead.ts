/**
 * What the first pod of a new image would wait for, done at build time: unpacking, and compiling where the interpreter
 * keeps compiled code. Only for images that are started as plain processes, whose files are a folder. Dependencies that an
 * earlier image of the same layer has unpacked are linked from there, as most rebuilds change the program alone.
 */
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { compileAhead } from '../compile-cache.ts'
import type { ContentStore } from '../content-store.ts'
import { readManifest } from '../manifest.ts'
import { unpackImage, type Seed } from '../unpack.ts'
import { appFolder, type ImageLayer, type Program } from './program.ts'
import { runTool } from './tool.ts'

/** Unpacks and compiles the image with that manifest. `cacheFolder` remembers what lies where. */
export async function prepareAhead(
  store: ContentStore,
  clock: Clock,
  cacheFolder: string,
  digest: string,
  { runtime, entry, layers }: Program,
): Promise<void> {
  if (runtime === undefined) return
  const [lowest] = layers
  const note = noteOf(cacheFolder, lowest)
  const manifest = await readManifest(store, digest)
  const seed = note && lowest ? await seedFrom(note, store, lowest) : undefined
  const rootfs = await unpackImage(store, digest, manifest.layers, { seed })
  if (runtime === 'python')
    await compilePython(join(rootfs, appFolder), seed === undefined ? undefined : lowest?.folder)
  if (note && !seed) {
    await mkdir(dirname(note), { recursive: true })
    await writeFile(note, JSON.stringify({ digest, unpackedAtMs: clock.now() }))
  }
  if (entry !== undefined) await compileAhead(rootfs, join(appFolder, entry), process.execPath)
}

/** Where it is noted which image has a layer unpacked; undefined when it can't be told apart from the others there. */
const noteOf = (cacheFolder: string, layer: ImageLayer | undefined): string | undefined =>
  layer?.folder === undefined
    ? undefined
    : join(cacheFolder, 'unpacked', `${layer.descriptor.digest.slice(7)}.json`)

async function seedFrom(
  note: string,
  store: ContentStore,
  { folder = '' }: ImageLayer,
): Promise<Seed | undefined> {
  const { digest, unpackedAtMs } = await readNote(note)
  const from = join(store.directory, 'rootfs', digest.slice(7), folder)
  if (digest === '' || !existsSync(from)) return undefined
  return {
    layers: 1,
    async fill(root) {
      try {
        linkTree(from, join(root, folder), unpackedAtMs)
        return true
      } catch {
        // Collected meanwhile, changed by a program, on a disk that knows no links: unpacked anew.
        await rm(join(root, appFolder), { recursive: true, force: true })
        await rm(note, { force: true })
        return false
      }
    },
  }
}

async function readNote(
  note: string,
): Promise<{ readonly digest: string; readonly unpackedAtMs: number }> {
  try {
    const { digest, unpackedAtMs } = Object(JSON.parse(await readFile(note, 'utf8'))) as Readonly<
      Record<string, unknown>
    >
    if (typeof digest === 'string' && typeof unpackedAtMs === 'number')
      return { digest, unpackedAtMs }
  } catch {
    // none, or cut short by a crash
  }
  return { digest: '', unpackedAtMs: 0 }
}

/** The same files under another folder. Throws an Error when one was written after `untilMs`. In one go: it is quick. */
function linkTree(from: string, to: string, untilMs: number): void {
  mkdirSync(to, { recursive: true, mode: 0o755 })
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) linkTree(source, target, untilMs)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else {
      if (lstatSync(source).mtimeMs > untilMs + 1) throw new Error(`${source} was changed`)
      linkSync(source, target)
    }
  }
}

/**
 * Files without times in them, so that Python takes them whatever unpacking does; failing is no harm. `linked` was
 * compiled where it came from.
 */
async function compilePython(folder: string, linked: string | undefined): Promise<void> {
  const options = ['-q', '-j', '0', '--invalidation-mode', 'unchecked-hash']
  const but = linked === undefined ? [] : ['-x', `/${basename(linked).replaceAll('.', '\\.')}/`]
  await runTool('python3', ['-m', 'compileall', ...options, ...but, '.'], {
    cwd: folder,
    limitMs: 60_000,
  }).catch(() => {})
}

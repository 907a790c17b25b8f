/**
 * What the first pod of a new image would wait for, done at build time: unpacking, and compiling where the interpreter
 * keeps compiled code. Only for images that are started as plain processes, whose files are a folder.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { compileAhead } from '../compile-cache.ts'
import type { ContentStore } from '../content-store.ts'
import { readManifest } from '../manifest.ts'
import { unpackImage } from '../unpack.ts'
import { appFolder, type Program } from './program.ts'
import { runTool } from './tool.ts'

export async function prepareAhead(
  store: ContentStore,
  digest: string,
  { runtime, entry }: Program,
): Promise<void> {
  if (runtime === undefined) return
  const { layers } = await readManifest(store, digest)
  const rootfs = await unpackImage(store, digest, layers)
  if (entry !== undefined) await compileAhead(rootfs, join(appFolder, entry), process.execPath)
  if (runtime === 'python') await compilePython(join(rootfs, appFolder))
}

/** Files without times in them, so that Python takes them whatever unpacking does; failing is no harm. */
async function compilePython(folder: string): Promise<void> {
  if (existsSync(join(folder, '__pycache__'))) return
  const options = ['-q', '-j', '0', '--invalidation-mode', 'unchecked-hash']
  await runTool('python3', ['-m', 'compileall', ...options, '.'], {
    cwd: folder,
    limitMs: 60_000,
  }).catch(() => {})
}

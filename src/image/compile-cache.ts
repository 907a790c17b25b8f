/**
 * Compiles a program ahead into Node's own on-disk compile cache (`NODE_COMPILE_CACHE`), beside the unpacked image and not
 * in it: entries hold the paths of files, depend on Node's version, and are not the same bytes twice, while the image is
 * to be the same wherever it was built. What does not match is compiled anew by Node. For TypeScript an entry also holds
 * the text without types, so that starting loads no type stripper.
 *
 * Nothing of the program runs: a module imported before it ends the process when everything is linked, which is after
 * compiling and before the first statement.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const limitMs = 60_000

/** The compile cache of an unpacked image. */
export const compiledFolder = (rootfs: string): string => `${rootfs}.compiled`

/**
 * Compiles `entry`, a file below `rootfs`, and what it imports, by the Node at `node`. Does nothing when that was done
 * before. A program that can't be linked has an empty cache, which Node fills as programs exit by themselves; so do
 * CommonJS modules, which Node compiles only when they run.
 */
export async function compileAhead(rootfs: string, entry: string, node: string): Promise<void> {
  const folder = compiledFolder(rootfs)
  if (existsSync(folder)) return
  const stage = await mkdtemp(`${folder}.`)
  try {
    const cache = join(stage, 'cache')
    await mkdir(cache, { mode: 0o755 })
    await writeFile(join(stage, 'stop.mjs'), 'process.exit(0)')
    const program = JSON.stringify(pathToFileURL(join(rootfs, entry)).href)
    await writeFile(join(stage, 'compile.mjs'), `import './stop.mjs'\nimport ${program}\n`)
    const child = spawn(node, [join(stage, 'compile.mjs')], {
      cwd: stage,
      env: { NODE_COMPILE_CACHE: cache },
      stdio: 'ignore',
      timeout: limitMs,
      killSignal: 'SIGKILL',
    })
    const code = await new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(null))
      child.once('exit', resolve)
    })
    if (code !== 0)
      for (const left of await readdir(cache)) await rm(join(cache, left), { recursive: true })
    await rename(cache, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error // else another build was quicker
    })
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

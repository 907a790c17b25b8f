/** A folder to work in that is gone afterwards. What a build left that was killed goes with the next one, after a day. */
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

const prefix = 'stage-'
const abandonedMs = 24 * 3_600_000

/** `cacheFolder` is made when it is missing. */
export async function withStage<T>(
  cacheFolder: string,
  work: (stage: string) => Promise<T>,
): Promise<T> {
  await mkdir(cacheFolder, { recursive: true })
  const stage = await mkdtemp(join(cacheFolder, prefix))
  try {
    await removeAbandoned(cacheFolder, (await stat(stage)).mtimeMs)
    return await work(stage)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

async function removeAbandoned(cacheFolder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(cacheFolder)) {
    if (!name.startsWith(prefix)) continue
    const path = join(cacheFolder, name)
    const info = await stat(path).catch(() => undefined)
    if (info && nowMs - info.mtimeMs > abandonedMs) await rm(path, { recursive: true, force: true })
  }
}

/**
 * Copies a container's output from the engine into its log file, from where it is read (pod-logs.ts). While all goes well
 * it comes as it is written (attach), and a container that writes faster than the disk has to wait. After a crash of the
 * control plane it comes from what the engine has kept meanwhile, behind the last byte that is in the file.
 */
import { mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Engine } from './engine.ts'

/**
 * Up to this size the engine surely has all of it still: it keeps 20 MB as JSON at least (container-body.ts), and the
 * shortest line takes some 75 bytes there.
 */
const keptBytes = 512 << 10

/** The file is there before its container starts: whoever watches it misses nothing. */
export async function createLog(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await (await open(path, 'a', 0o644)).close()
}

/** Resolves at the end of the output. */
export async function copyOutput(output: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const file = await open(path, 'a', 0o644)
  try {
    for await (const content of output) await file.appendFile(content)
  } finally {
    await file.close()
  }
}

/** What the engine has kept and the file has not yet, and all that follows until the container ends. */
export async function* missedOutput(
  engine: Pick<Engine, 'logs'>,
  id: string,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const written = await stat(path).catch(() => undefined)
  const size = written?.size ?? 0
  // Where the beginning may be gone, by time, as exactly as the file system remembers it.
  const since = written && size > keptBytes ? ((written.mtimeMs + 1) / 1000).toFixed(6) : ''
  let skip = since === '' ? size : 0
  for await (const content of engine.logs(id, since, signal)) {
    const fresh = content.subarray(Math.min(skip, content.length))
    skip -= content.length - fresh.length
    if (fresh.length > 0) yield fresh
  }
}

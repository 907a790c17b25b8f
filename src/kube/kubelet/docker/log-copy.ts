/**
 * Copies a container's output from the engine into its log file, from where it is read (pod-logs.ts). The engine keeps
 * what comes while no control plane runs; a successor goes on after the last byte that is in the file.
 */
import { mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Engine } from './engine.ts'

/** Up to this size the engine surely has all of it still (container-body.ts keeps twice 10 MiB, as JSON). */
const keptBytes = 4 << 20

/** The file is there before its container starts: whoever watches it misses nothing. */
export async function createLog(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await (await open(path, 'a', 0o644)).close()
}

/** Resolves when the container has ended and everything is in the file, or `signal` aborts. */
export async function copyLog(
  engine: Pick<Engine, 'logs'>,
  id: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const written = await stat(path).catch(() => undefined)
  let skip = 0
  let since = ''
  if (written && written.size > 0) {
    if (written.size <= keptBytes) skip = written.size
    // Its beginning may be gone: then by time, as exactly as the file system remembers.
    else since = ((written.mtimeMs + 1) / 1000).toFixed(6)
  }
  const file = await open(path, 'a', 0o644)
  try {
    for await (const content of engine.logs(id, since, signal)) {
      const fresh = content.subarray(Math.min(skip, content.length))
      skip -= content.length - fresh.length
      if (fresh.length > 0) await file.appendFile(fresh)
    }
  } finally {
    await file.close()
  }
}

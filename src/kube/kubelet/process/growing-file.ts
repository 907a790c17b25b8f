/** A file that grows, as a stream: the output of a container from a moment on, read where it is written down. */
import { watch, type FSWatcher } from 'node:fs'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'

const chunkBytes = 64 << 10
/** Looked at so often in case no notification comes. */
const pollMs = 100

/** What is in the file from `from` on, and what comes, until `ended` has resolved and all was read. */
export function growingFile(
  path: string,
  {
    from,
    ended,
    clock,
  }: { readonly from: number; readonly ended: Promise<unknown>; readonly clock: Clock },
): Readable {
  const left = new AbortController()
  const stream = Readable.from(growth(path, from, ended, clock, left.signal), { objectMode: false })
  stream.once('close', () => left.abort())
  return stream
}

async function* growth(
  path: string,
  from: number,
  ended: Promise<unknown>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  let at = from
  let over = false
  let wake = (): void => {}
  void ended.then(() => {
    over = true
    wake()
  })
  signal.addEventListener('abort', () => wake(), { once: true })
  const file = await open(path, 'r')
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(path, { persistent: false }, () => wake())
    watcher.on('error', () => watcher?.close())
  } catch {
    // No inotify instance is left: it is looked at from time to time.
  }
  try {
    while (!signal.aborted) {
      const wasOver = over
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafe(chunkBytes),
        0,
        chunkBytes,
        at,
      )
      if (bytesRead > 0) {
        at += bytesRead
        yield buffer.subarray(0, bytesRead)
        continue
      }
      if (wasOver) return
      if ((await file.stat()).size < at) at = 0 // cut to nothing because it had grown too large
      else if (!over)
        await new Promise<void>((resolve) => {
          const cancel = clock.after(pollMs, resolve)
          wake = () => {
            cancel()
            resolve()
          }
        })
    }
  } finally {
    watcher?.close()
    await file.close()
  }
}

/**
 * Writes to the end of a file while the next bytes come: a download neither waits for each write nor runs ahead of the disk.
 */
import type { FileHandle } from 'node:fs/promises'

export interface WriteBehind {
  /** Takes the bytes, which must not change any more; resolves when there is room for more. Rejects with the disk's error. */
  write(chunk: Uint8Array): Promise<void>
  /** Resolves when all that was taken is in the file. Rejects with the disk's error. */
  drained(): Promise<void>
}

/** A few reads of a socket. */
const mostWaitingBytes = 1 << 20

/** The file is open for appending, and nobody else writes to it. */
export function writeBehind(file: FileHandle): WriteBehind {
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let running: Promise<void> | undefined
  let failure: { readonly error: unknown } | undefined

  const run = async (): Promise<void> => {
    try {
      while (waiting.length > 0) {
        const chunks = waiting
        waiting = []
        waitingBytes = 0
        await writeAll(file, chunks)
      }
    } catch (error) {
      failure = { error }
      waiting = []
      waitingBytes = 0
    } finally {
      running = undefined
    }
  }

  const drained = async (): Promise<void> => {
    await running
    if (failure) throw failure.error
  }

  return {
    async write(chunk) {
      if (failure) throw failure.error
      waiting.push(chunk)
      waitingBytes += chunk.length
      running ??= run()
      if (waitingBytes >= mostWaitingBytes) await drained()
    },
    drained,
  }
}

async function writeAll(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  let left = chunks
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left)
    left = after(left, bytesWritten)
  }
}

/** What is left of the chunks behind so many bytes. */
function after(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skipped = 0
  for (const [i, chunk] of chunks.entries()) {
    if (skipped + chunk.length > bytes)
      return [chunk.subarray(bytes - skipped), ...chunks.slice(i + 1)]
    skipped += chunk.length
  }
  return []
}

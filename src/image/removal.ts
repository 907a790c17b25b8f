/** Takes a folder away at once: a crash in the middle must not leave half of it under its name. */
import { randomUUID } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Gives it a name that nobody takes for a whole one, then removes it. Nothing happens when it is not there. */
export async function removeFolder(path: string): Promise<void> {
  const hidden = join(dirname(path), `.${randomUUID()}`)
  try {
    await rename(path, hidden)
  } catch (error) {
    const { code } = Object(error) as { readonly code?: string }
    if (code === 'ENOENT') return
    throw error
  }
  await rm(hidden, { recursive: true, force: true })
}

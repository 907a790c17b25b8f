/** What containers with a root of their own leave on the disk: their changes, in folders that not even their owner may open. */
import { chmodSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Removes the changes of one container. What can't be removed stays for another day. */
export async function removeChanges(folder: string): Promise<void> {
  try {
    chmodSync(join(folder, 'work', 'work'), 0o700) // overlayfs' own
  } catch {
    // There is none.
  }
  await rm(folder, { recursive: true, force: true }).catch(() => {})
}

/** Removes what a pod has on the disk, all of it. */
export async function removePodFolder(folder: string): Promise<void> {
  const roots = join(folder, 'roots')
  for (const name of await readdir(roots).catch(() => [])) await removeChanges(join(roots, name))
  await rm(folder, { recursive: true, force: true })
}

/** The same for all pods. */
export async function removePodFolders(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    await removePodFolder(join(folder, name))
  await rm(folder, { recursive: true, force: true })
}

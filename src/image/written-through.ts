/**
 * Folders that have to be whole after a power loss, without anybody waiting for the disk. Beside a new folder lies a link
 * that names the present boot of the machine; it goes when the file system has written everything down. A folder whose link
 * names another boot was perhaps not written to its end, and is made anew. File systems keep the order of the names of
 * files (link before folder), which is all that this needs.
 */
import { spawn } from 'node:child_process'
import { readFile, readlink, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const noteOf = (folder: string): string => join(dirname(folder), `.${basename(folder)}.unwritten`)

/** To be called before the folder gets its name. */
export async function noteUnwritten(folder: string): Promise<void> {
  const note = noteOf(folder)
  await rm(note, { force: true })
  await symlink(await bootId(), note).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error // another process makes the same folder
  })
}

/** Has the file system write the folder down, in its own time; where it can't be told to, the note stays. */
export function writeThrough(folder: string): void {
  const child = spawn('sync', ['-f', folder], { stdio: 'ignore', detached: true })
  child.unref()
  child.on('error', () => {}) // no such program
  child.on('exit', (code) => {
    if (code === 0) rm(noteOf(folder), { force: true }).catch(() => {}) // gone with its folder
  })
}

/** False: the machine went down before the folder was written; what there was of it is removed. */
export async function isWhole(folder: string): Promise<boolean> {
  const note = await readlink(noteOf(folder)).catch(() => undefined)
  if (note === undefined || note === (await bootId())) return true
  await rm(folder, { recursive: true, force: true })
  return false
}

/** Changes with every boot; a word of its own where the machine does not tell. */
const bootId = (): Promise<string> =>
  readFile('/proc/sys/kernel/random/boot_id', 'latin1').then(
    (text) => text.trim() || 'unknown',
    () => 'unknown',
  )

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

/** Writing everything down at the same moment; folders that come meanwhile are written together, after one of them. */
const maxAtOnce = 2
/** By the folder they lie in, which is on one file system with them. */
const queues = new Map<string, { running: number; waiting: string[] }>()

/** Has the file system write the folder down, in its own time; where it can't be told to, the note stays. */
export function writeThrough(folder: string): void {
  const parent = dirname(folder)
  const queue = queues.get(parent) ?? { running: 0, waiting: [] }
  queues.set(parent, queue)
  queue.waiting.push(folder)
  if (queue.running >= maxAtOnce) return
  const folders = queue.waiting.splice(0)
  queue.running++
  const ended = (code: number | null) => {
    queue.running--
    if (code === 0)
      for (const each of folders) void rm(noteOf(each), { force: true }).catch(() => {}) // gone with its folder
    const next = queue.waiting.pop()
    if (next !== undefined) writeThrough(next)
    else if (queue.running === 0) queues.delete(parent)
  }
  const child = spawn('sync', ['-f', parent], { stdio: 'ignore', detached: true })
  child.unref()
  child.once('error', () => ended(null)) // no such program
  child.once('exit', ended)
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

/**
 * What the log asks of a disk, as narrow as it needs it: so that tests can stand on one that forgets what was not synced
 * and fails when they want (`forgetful-disk.fixture.ts`). What a crash of the machine leaves is what was synced: bytes by
 * their file's `datasync`, names by their folder's `syncFolder`.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'

export interface DiskFile {
  /** Into memory, synchronously: measured faster than the thread pool. Answers how many bytes it took, at least one. */
  write(bytes: Uint8Array, from: number, length: number, position: number): number
  /** Answers how many bytes there were. */
  read(into: Uint8Array, at: number, length: number, position: number): Promise<number>
  /** What was written, and the file's size, survive a crash of the machine. */
  datasync(): Promise<void>
  truncate(sizeBytes: number): Promise<void>
  stat(): Promise<{ readonly size: number; readonly mtimeMs: number }>
  close(): Promise<void>
}

/** Each throws what the system says, with its `code` and `syscall`. */
export interface Disk {
  /** Makes a folder and those above it; answers the uppermost that was not there. */
  makeFolder(path: string): Promise<string | undefined>
  list(folder: string): Promise<readonly string[]>
  /** To be read and written; `new` = it must not be there. */
  open(path: string, how: 'new' | 'existing'): Promise<DiskFile>
  readText(path: string): Promise<string>
  /** From its beginning, synchronously; what was behind stays. Made when it is missing. */
  overwrite(path: string, bytes: Uint8Array): void
  /** What was written of the file survives a crash of the machine. */
  syncFile(path: string): Promise<void>
  /** Which names are in the folder survives a crash of the machine. */
  syncFolder(path: string): Promise<void>
  /** A file, or a folder with all that is in it; what is not there is fine. */
  remove(path: string): Promise<void>
}

const writeOver = constants.O_WRONLY | constants.O_CREAT

/** The disk of this machine. */
export const machineDisk: Disk = {
  makeFolder: (path) => mkdir(path, { recursive: true, mode: 0o700 }),
  list: (folder) => readdir(folder),
  async open(path, how) {
    const file = await open(path, how === 'new' ? 'wx+' : 'r+', 0o600)
    return {
      write: (bytes, from, length, position) => writeSync(file.fd, bytes, from, length, position),
      read: async (into, at, length, position) =>
        (await file.read(into, at, length, position)).bytesRead,
      datasync: () => file.datasync(),
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      stat: () => file.stat(),
      close: () => file.close(),
    }
  },
  readText: (path) => readFile(path, 'utf8'),
  overwrite(path, bytes) {
    const file = openSync(path, writeOver, 0o600)
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at, at)
    } finally {
      closeSync(file)
    }
  },
  syncFile: (path) => synced(path, 'datasync'),
  syncFolder: (path) => synced(path, 'sync'),
  remove: (path) => rm(path, { recursive: true, force: true }),
}

async function synced(path: string, how: 'sync' | 'datasync'): Promise<void> {
  await using file = await open(path, 'r')
  await file[how]()
}

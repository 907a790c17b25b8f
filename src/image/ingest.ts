/**
 * A blob on its way into the content store. What has come of it stays when the way breaks, even by a crash, and the next
 * attempt goes on there; it becomes a blob by one rename, once its digest is right.
 */
import { createHash, type Hash } from 'node:crypto'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFolder } from './sync-folder.ts'
import { writeBehind } from './write-behind.ts'

export interface Ingest {
  /** Bytes that are there already. */
  readonly offset: number
  /** Throws WrongContent beyond the promised size. */
  write(chunk: Uint8Array): Promise<void>
  /** Forgets what is there. */
  restart(): Promise<void>
  /** Makes it a blob. Throws WrongContent, and forgets what is there, when it is not what was promised. */
  commit(): Promise<void>
  /** Lets go; what is there stays for another attempt, unless it was committed. */
  close(): Promise<void>
}

/** The bytes are not those that the digest promises. */
export class WrongContent extends Error {
  override readonly name = 'WrongContent'
}

export interface IngestOptions {
  /** Folder for what is not complete, on the same file system as `path`. */
  readonly incoming: string
  readonly path: string
  readonly digest: string
  readonly size: number
}

export async function openIngest({ incoming, path, digest, size }: IngestOptions): Promise<Ingest> {
  const hex = digest.slice(7)
  const part = join(incoming, `${hex}.${process.pid}.${String(++opened)}.part`)
  await adopt(incoming, hex, part)
  const file = await open(part, 'a+', 0o644)
  let hash = createHash('sha256')
  let offset = 0
  let done = false
  try {
    const { size: there } = await file.stat()
    if (there > size) await file.truncate(0)
    else offset = await hashFile(part, hash)
  } catch (error) {
    await file.close()
    throw error
  }

  const target = writeBehind(file)
  const restart = async () => {
    await target.drained()
    await file.truncate(0)
    hash = createHash('sha256')
    offset = 0
  }

  return {
    get offset() {
      return offset
    },
    async write(chunk) {
      if (offset + chunk.length > size)
        throw new WrongContent(`more than the ${size} bytes that its manifest promises`)
      hash.update(chunk)
      offset += chunk.length
      await target.write(chunk)
    },
    restart,
    async commit() {
      const found = `sha256:${hash.copy().digest('hex')}`
      if (offset !== size || found !== digest) {
        const there = offset
        await restart()
        throw new WrongContent(
          there === size
            ? `its content has the digest ${found}`
            : `it has ${there} bytes; its manifest promises ${size}`,
        )
      }
      await target.drained()
      await file.sync()
      await rename(part, path)
      done = true
      await syncFolder(dirname(path))
    },
    async close() {
      await target.drained().catch(() => {}) // whoever wrote was told
      await file.close()
      if (done) return
      // Free for whoever comes next.
      if (offset > 0) await rename(part, join(incoming, `${hex}.part`)).catch(() => {})
      else await rm(part, { force: true })
    },
  }
}

let opened = 0

/** Takes over what an attempt before left that is not going on: a rename has one winner. */
async function adopt(incoming: string, hex: string, part: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    if (!name.startsWith(`${hex}.`) || !name.endsWith('.part')) continue
    const pid = Number(name.split('.')[1])
    if (Number.isInteger(pid) && isAlive(pid)) continue
    const taken = await rename(join(incoming, name), part).then(
      () => true,
      () => false,
    )
    if (taken) return
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function hashFile(path: string, hash: Hash): Promise<number> {
  const { size } = await stat(path)
  if (size === 0) return 0
  const file = await open(path, 'r')
  let seen = 0
  for await (const chunk of file.createReadStream()) {
    if (!(chunk instanceof Uint8Array)) continue
    hash.update(chunk)
    seen += chunk.length
  }
  return seen
}

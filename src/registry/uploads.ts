/**
 * Blobs on their way in by push (distribution-spec 1.1, "Pushing blobs"): in one go or in chunks, into a file that
 * becomes a blob when its digest is right. Kept in number, in size and in time.
 */
import { createHash, randomUUID, type Hash } from 'node:crypto'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import type { ContentStore } from '../image/content-store.ts'
import { writeBehind, type WriteBehind } from '../image/write-behind.ts'
import { Refusal } from './answers.ts'

export interface Upload {
  readonly id: string
  readonly repository: string
  /** Bytes that have come. */
  readonly size: number
}

export interface Uploads extends AsyncDisposable {
  /** Throws Refusal when too many are open. */
  begin(repository: string): Promise<Upload>
  /** Throws Refusal when there is none of that id. */
  find(repository: string, id: string): Upload
  /** Adds to it. Throws Refusal when it grows too large, or while another request adds to it. */
  append(upload: Upload, chunks: AsyncIterable<Uint8Array>): Promise<void>
  /** Makes it a blob. Throws Refusal when the digest is another; the upload is gone then as well. */
  finish(upload: Upload, digest: string): Promise<void>
  cancel(upload: Upload): Promise<void>
}

interface Open extends Upload {
  size: number
  readonly path: string
  readonly file: FileHandle
  readonly target: WriteBehind
  readonly hash: Hash
  busy: boolean
  touchedMs: number
}

const maxUploads = 256
const maxBytes = 20 * 2 ** 30
/** An upload that nobody goes on with. */
const idleMs = 3_600_000

export function createUploads(store: ContentStore, clock: Clock): Uploads {
  const uploads = new Map<string, Open>()

  const drop = async (upload: Open) => {
    uploads.delete(upload.id)
    await upload.file.close()
    await rm(upload.path, { force: true })
  }

  const opened = ({ id, repository }: Upload): Open => {
    const found = uploads.get(id)
    if (!found || found.repository !== repository)
      throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'no upload of this name is open')
    return found
  }

  return {
    async begin(repository) {
      for (const upload of uploads.values())
        if (!upload.busy && clock.monotonic() - upload.touchedMs > idleMs) await drop(upload)
      if (uploads.size >= maxUploads)
        throw new Refusal(429, 'TOOMANYREQUESTS', `${maxUploads} uploads are open already`)
      const id = randomUUID()
      const path = join(store.directory, 'incoming', `${id}.upload`)
      const file = await open(path, 'ax', 0o644)
      const upload: Open = {
        id,
        repository,
        size: 0,
        path,
        file,
        target: writeBehind(file),
        hash: createHash('sha256'),
        busy: false,
        touchedMs: clock.monotonic(),
      }
      uploads.set(id, upload)
      return upload
    },

    find: (repository, id) => opened({ id, repository, size: 0 }),

    async append(wanted, chunks) {
      const upload = opened(wanted)
      if (upload.busy) throw new Refusal(409, 'BLOB_UPLOAD_INVALID', 'it is being written to')
      upload.busy = true
      try {
        for await (const chunk of chunks) {
          if (upload.size + chunk.length > maxBytes)
            throw new Refusal(413, 'SIZE_INVALID', `a blob has at most ${maxBytes} bytes`)
          upload.hash.update(chunk)
          upload.size += chunk.length
          await upload.target.write(chunk)
        }
        await upload.target.drained()
      } finally {
        upload.busy = false
        upload.touchedMs = clock.monotonic()
      }
    },

    async finish(wanted, digest) {
      const upload = opened(wanted)
      const found = `sha256:${upload.hash.copy().digest('hex')}`
      if (found !== digest) {
        await drop(upload)
        throw new Refusal(400, 'DIGEST_INVALID', `the content has the digest ${found}`)
      }
      uploads.delete(upload.id)
      await upload.file.close()
      await store.adopt(upload.path, digest)
    },

    cancel: (wanted) => drop(opened(wanted)),

    async [Symbol.asyncDispose]() {
      for (const upload of uploads.values()) await drop(upload)
    },
  }
}

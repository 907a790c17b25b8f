/** A file that begins anew when it is full: `audit.log` becomes `audit-<time>.log`, and only the newest of those stay. */
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import type { Clock } from '../../../../lib/clock.ts'

export interface RotatingFileOptions {
  readonly path: string
  readonly clock: Clock
  /** Bytes after which a new file begins. */
  readonly maxBytes: number
  /** Older files that stay. */
  readonly backups: number
}

export class RotatingFile implements AsyncDisposable {
  readonly #options: RotatingFileOptions
  #file: FileHandle | undefined
  #bytes = 0
  /** Writes are one after the other. */
  #last: Promise<void> = Promise.resolve()

  constructor(options: RotatingFileOptions) {
    this.#options = options
  }

  /** Appends; rejects when the disk does not take it. */
  write(bytes: Buffer): Promise<void> {
    const done = this.#last.then(async () => {
      const file = await this.#opened(bytes.length)
      await file.appendFile(bytes)
      this.#bytes += bytes.length
    })
    this.#last = done.catch(() => {})
    return done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last
    await this.#file?.close()
    this.#file = undefined
  }

  async #opened(more: number): Promise<FileHandle> {
    const { path, maxBytes } = this.#options
    if (this.#file && this.#bytes > 0 && this.#bytes + more > maxBytes) {
      await this.#file.close()
      this.#file = undefined
      await rename(path, this.#backupPath())
      await this.#removeOld()
    }
    if (!this.#file) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      this.#file = await open(path, 'a', 0o600)
      this.#bytes = (await this.#file.stat()).size
    }
    return this.#file
  }

  #backupPath(): string {
    const { path, clock } = this.#options
    const time = new Date(clock.now()).toISOString().replaceAll(':', '-').replace(/Z$/, '')
    return join(dirname(path), `${this.#stem()}-${time}${extname(path)}`)
  }

  #stem(): string {
    const { path } = this.#options
    return basename(path, extname(path))
  }

  async #removeOld(): Promise<void> {
    const { path, backups } = this.#options
    const own = new RegExp(`^${escape(this.#stem())}-\\d{4}-[-T.\\d]+${escape(extname(path))}$`)
    const found = (await readdir(dirname(path))).filter((name) => own.test(name)).toSorted()
    for (const name of found.slice(0, Math.max(0, found.length - backups)))
      await rm(join(dirname(path), name), { force: true })
  }
}

const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

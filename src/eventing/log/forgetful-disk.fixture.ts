/**
 * A disk in memory that keeps its promises and no more: after a power cut each page that was not synced is there or not,
 * by chance, and so is each name that its folder was not synced with. It refuses what it is told to refuse. After a
 * failed sync it does as Linux does: the pages count as written, and are not.
 */
import { dirname, basename } from 'node:path'
import type { Random } from '../../lib/random.ts'
import type { Disk, DiskFile } from './disk.ts'

type Operation =
  | 'make'
  | 'list'
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'sync'
  | 'syncFolder'
  | 'truncate'
  | 'remove'

const pageBytes = 512

class File {
  live = Buffer.alloc(0)
  durable = Buffer.alloc(0)
  /** Pages that the next sync writes. */
  readonly dirty = new Set<number>()
  modifiedMs = 0

  write(bytes: Uint8Array, position: number): void {
    this.#resize(Math.max(this.live.length, position + bytes.length))
    this.live.set(bytes, position)
    this.#touch(position, position + bytes.length)
  }

  truncate(size: number): void {
    const before = this.live.length
    this.#resize(size)
    this.#touch(Math.min(before, size), Math.max(before, size))
  }

  #resize(size: number): void {
    if (size === this.live.length) return
    const next = Buffer.alloc(size)
    this.live.copy(next)
    this.live = next
  }

  #touch(from: number, to: number): void {
    for (let page = Math.floor(from / pageBytes); page * pageBytes < to; page++)
      this.dirty.add(page)
  }

  sync(): void {
    const next = Buffer.alloc(this.live.length)
    this.durable.copy(next)
    for (const page of this.dirty) this.#copyPage(next, page)
    this.durable = next
    this.dirty.clear()
  }

  /** Some pages were written, the others are forgotten. */
  failSync(random: Random): void {
    this.#writeSome(random)
    this.dirty.clear()
  }

  #writeSome(random: Random): void {
    if (this.dirty.size === 0) return
    const size = random.next() < 0.5 ? this.live.length : this.durable.length
    const next = Buffer.alloc(size)
    this.durable.copy(next)
    for (const page of this.dirty) if (random.next() < 0.5) this.#copyPage(next, page)
    this.durable = next
  }

  /** As far as `next` reaches. */
  #copyPage(next: Buffer, page: number): void {
    const from = page * pageBytes
    const to = Math.min(from + pageBytes, this.live.length)
    if (from < Math.min(to, next.length)) this.live.copy(next, from, from, to)
  }

  cutPower(random: Random): void {
    this.#writeSome(random)
    this.live = Buffer.from(this.durable)
    this.dirty.clear()
  }
}

class Folder {
  live = new Map<string, File | Folder>()
  durable = new Map<string, File | Folder>()

  cutPower(random: Random): void {
    for (const name of new Set([...this.live.keys(), ...this.durable.keys()])) {
      const now = this.live.get(name)
      if (now === this.durable.get(name) || random.next() < 0.5) continue
      if (now) this.durable.set(name, now)
      else this.durable.delete(name)
    }
    this.live = new Map(this.durable)
    for (const each of this.live.values()) each.cutPower(random)
  }
}

const failure = (code: string, syscall: Operation, path: string): Error =>
  Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, syscall })

export class ForgetfulDisk implements Disk {
  readonly #root: Folder
  readonly #random: Random
  readonly #now: () => number
  #dead = false
  /** Asked before each operation: a code (`EIO`, `ENOSPC`) makes it fail. */
  refuse: (operation: Operation, path: string) => string | undefined = () => undefined

  constructor(random: Random, now: () => number, root = new Folder()) {
    this.#root = root
    this.#random = random
    this.#now = now
  }

  /** The process that has it ends here; what it wrote is there for the next. */
  kill(): ForgetfulDisk {
    this.#dead = true
    return new ForgetfulDisk(this.#random, this.#now, this.#root)
  }

  cutPower(): ForgetfulDisk {
    this.#root.cutPower(this.#random)
    return this.kill()
  }

  makeFolder(path: string): Promise<string | undefined> {
    return this.#soon('make', path, () => {
      let folder = this.#root
      let made: string | undefined
      let at = ''
      for (const name of partsOf(path)) {
        at += `/${name}`
        let next = folder.live.get(name)
        if (!next) {
          folder.live.set(name, (next = new Folder()))
          made ??= at
        }
        if (!(next instanceof Folder)) throw failure('ENOTDIR', 'make', path)
        folder = next
      }
      return made
    })
  }

  list(path: string): Promise<readonly string[]> {
    return this.#soon('list', path, () => [...this.#folder(path, 'list').live.keys()])
  }

  open(path: string, how: 'new' | 'existing'): Promise<DiskFile> {
    return this.#soon(how === 'new' ? 'create' : 'open', path, () => {
      const folder = this.#folder(dirname(path), 'open')
      const found = folder.live.get(basename(path))
      if (how === 'existing') return this.#handle(this.#file(path), path)
      if (found) throw failure('EEXIST', 'open', path)
      const file = new File()
      folder.live.set(basename(path), file)
      return this.#handle(file, path)
    })
  }

  readText(path: string): Promise<string> {
    return this.#soon('read', path, () => this.#file(path).live.toString())
  }

  overwrite(path: string, bytes: Uint8Array): void {
    this.#check('write', path)
    const folder = this.#folder(dirname(path), 'open')
    let file = folder.live.get(basename(path))
    if (!file) folder.live.set(basename(path), (file = new File()))
    if (file instanceof Folder) throw failure('EISDIR', 'open', path)
    file.write(bytes, 0)
    file.modifiedMs = this.#now()
  }

  syncFile(path: string): Promise<void> {
    return this.#sync(path, () => this.#file(path))
  }

  syncFolder(path: string): Promise<void> {
    return this.#soon('syncFolder', path, () => {
      const folder = this.#folder(path, 'syncFolder')
      folder.durable = new Map(folder.live)
    })
  }

  remove(path: string): Promise<void> {
    return this.#soon('remove', path, () => {
      this.#folder(dirname(path), 'remove').live.delete(basename(path))
    })
  }

  #handle(file: File, path: string): DiskFile {
    let open = true
    const check = (operation: Operation) => {
      if (!open) throw failure('EBADF', operation, path)
    }
    return {
      write: (bytes, from, length, position) => {
        check('write')
        this.#check('write', path)
        // Rarely all at once.
        const taken =
          this.#random.next() < 0.9 ? length : Math.ceil(length * this.#random.next()) || 1
        file.write(bytes.subarray(from, from + taken), position)
        file.modifiedMs = this.#now()
        return taken
      },
      read: (into, at, length, position) =>
        this.#soon('read', path, () => {
          check('read')
          const bytes = file.live.subarray(position, position + length)
          into.set(bytes, at)
          return bytes.length
        }),
      datasync: () =>
        this.#sync(path, () => {
          check('sync')
          return file
        }),
      truncate: (size) =>
        this.#soon('truncate', path, () => {
          check('truncate')
          file.truncate(size)
        }),
      stat: () =>
        this.#soon('open', path, () => ({ size: file.live.length, mtimeMs: file.modifiedMs })),
      close: () => {
        open = false
        return Promise.resolve()
      },
    }
  }

  async #sync(path: string, find: () => File): Promise<void> {
    await this.#turn()
    if (this.#dead) throw failure('EBADF', 'sync', path)
    const file = find()
    const refusal = this.refuse('sync', path)
    if (refusal !== undefined) {
      file.failSync(this.#random)
      throw failure(refusal, 'sync', path)
    }
    file.sync()
  }

  /** Later, as real disks answer: what else goes on meanwhile goes on. */
  async #soon<T>(operation: Operation, path: string, act: () => T): Promise<T> {
    await this.#turn()
    this.#check(operation, path)
    return act()
  }

  async #turn(): Promise<void> {
    const turns = 1 + Math.floor(this.#random.next() * 3)
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
  }

  #check(operation: Operation, path: string): void {
    const refusal = this.#dead ? 'EBADF' : this.refuse(operation, path)
    if (refusal !== undefined) throw failure(refusal, operation, path)
  }

  #at(path: string): File | Folder | undefined {
    let at: File | Folder | undefined = this.#root
    for (const name of partsOf(path)) at = at instanceof Folder ? at.live.get(name) : undefined
    return at
  }

  #folder(path: string, operation: Operation): Folder {
    const found = this.#at(path)
    if (!found) throw failure('ENOENT', operation, path)
    if (!(found instanceof Folder)) throw failure('ENOTDIR', operation, path)
    return found
  }

  #file(path: string): File {
    const found = this.#at(path)
    if (!found) throw failure('ENOENT', 'open', path)
    if (found instanceof Folder) throw failure('EISDIR', 'open', path)
    return found
  }
}

const partsOf = (path: string): readonly string[] => path.split('/').filter((name) => name !== '')

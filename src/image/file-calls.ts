/**
 * Calls of the file system for the many small files of an image. In a thread of its own they are made at once: a call by way of
 * Node's thread pool takes several times as long as the call itself, and there is nobody else whom it could hold up.
 */
import * as direct from 'node:fs'
import type { Stats } from 'node:fs'
import * as pooled from 'node:fs/promises'
import { isMainThread } from 'node:worker_threads'

/** As in `node:fs/promises`. */
export interface FileCalls {
  readonly chmod: (path: string, mode: number) => Promise<void>
  readonly lchown: (path: string, uid: number, gid: number) => Promise<void>
  readonly link: (existing: string, path: string) => Promise<void>
  readonly lstat: (path: string) => Promise<Stats>
  readonly mkdir: (path: string, options: { readonly mode: number }) => Promise<unknown>
  readonly readdir: (path: string) => Promise<string[]>
  readonly readlink: (path: string) => Promise<string>
  readonly symlink: (target: string, path: string) => Promise<void>
  readonly utimes: (path: string, atime: number, mtime: number) => Promise<void>
  readonly writeFile: (
    path: string,
    data: Uint8Array,
    options: { readonly mode: number; readonly flag: string },
  ) => Promise<void>
}

const atOnce: FileCalls = {
  chmod: async (path, mode) => direct.chmodSync(path, mode),
  lchown: async (path, uid, gid) => direct.lchownSync(path, uid, gid),
  link: async (existing, path) => direct.linkSync(existing, path),
  lstat: async (path) => direct.lstatSync(path),
  mkdir: async (path, options) => direct.mkdirSync(path, options),
  readdir: async (path) => direct.readdirSync(path),
  readlink: async (path) => direct.readlinkSync(path),
  symlink: async (target, path) => direct.symlinkSync(target, path),
  utimes: async (path, atime, mtime) => direct.utimesSync(path, atime, mtime),
  writeFile: async (path, data, options) => direct.writeFileSync(path, data, options),
}

const calls: FileCalls = isMainThread ? pooled : atOnce
export const { chmod, lchown, link, lstat, mkdir, readdir, readlink, symlink, utimes, writeFile } =
  calls

/**
 * Whether a user gets to a folder at all. A process shares the machine's files, and what lies below a folder that is open
 * to its owner only, as home directories are, is not there for anybody else.
 */
import { statSync } from 'node:fs'
import { dirname } from 'node:path'

export interface User {
  readonly uid: number
  readonly gid: number
}

/** The uppermost folder on the way to `path`, itself included, that the user may not pass; undefined when there is none. */
export function barrier(path: string, { uid, gid }: User): string | undefined {
  if (uid === 0) return undefined
  const above = dirname(path)
  const before = above === path ? undefined : barrier(above, { uid, gid })
  if (before !== undefined) return before
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) return undefined // whoever goes there says so
  const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001
  return (found.mode & bit) === 0 ? path : undefined
}

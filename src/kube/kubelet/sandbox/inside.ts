/** Paths of a root file system as its own programs see them: links are followed as if it were the root of all files. */
import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** As Linux has it. */
const maxLinksFollowed = 40

/**
 * The path without links, absolute and inside the root; what does not exist stays as it is written. Throws when it leads
 * through too many links.
 */
export function resolveInside(root: string, path: string): string {
  const waiting = path.split('/').reverse()
  const found: string[] = []
  for (let followed = 0; waiting.length > 0;) {
    const part = waiting.pop() ?? ''
    if (part === '' || part === '.') continue
    if (part === '..') {
      found.pop()
      continue
    }
    const target = linkAt(join(root, ...found, part))
    if (target === undefined) found.push(part)
    else {
      if (++followed > maxLinksFollowed)
        throw new Error(`${path}: too many levels of symbolic links`)
      if (target.startsWith('/')) found.length = 0
      waiting.push(...target.split('/').reverse())
    }
  }
  return `/${found.join('/')}`
}

/** Text of a file of the root; '' when there is none. At most `limitBytes`, else ''. */
export function readInside(root: string, path: string, limitBytes: number): string {
  try {
    const real = join(root, resolveInside(root, path))
    const info = lstatSync(real)
    return info.isFile() && info.size <= limitBytes ? readFileSync(real, 'utf8') : ''
  } catch {
    return ''
  }
}

function linkAt(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined
  } catch {
    return undefined
  }
}

/** The commit that a folder of source stands at, read from Git's files; changes that are not committed are not looked for. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Undefined when the folder is no checkout of its own. */
export async function gitCommit(root: string): Promise<string | undefined> {
  const read = (...path: readonly string[]) =>
    readFile(join(root, '.git', ...path), 'utf8').catch(() => '')
  const head = (await read('HEAD')).trim()
  if (isCommit(head)) return head
  const ref = /^ref: (refs\/[\w./-]+)$/.exec(head)?.[1]
  if (ref === undefined || ref.includes('..')) return undefined
  const loose = (await read(ref)).trim()
  if (isCommit(loose)) return loose
  const packed = (await read('packed-refs')).split('\n').find((line) => line.endsWith(` ${ref}`))
  const commit = packed?.split(' ')[0] ?? ''
  return isCommit(commit) ? commit : undefined
}

const isCommit = (text: string): boolean => /^[a-f0-9]{40}([a-f0-9]{24})?$/.test(text)

/** Which file of a container's root is its program, as a shell and container runtimes look for it, and what they say when there is none. */
import { join } from 'node:path'
import { errno, errorText } from './syscalls.ts'

/** What Docker gives a container whose image says nothing. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Folders of PATH that are looked into, at most. */
const maxFolders = 256

/** Paths to try in order; none for an empty name. */
export function candidatesOf(program: string, path: string): readonly string[] {
  if (program === '') return []
  if (program.includes('/')) return [program]
  return [...new Set(path.split(':').filter((folder) => folder.startsWith('/')))]
    .slice(0, maxFolders)
    .map((folder) => join(folder, program))
}

export const notFoundText = (program: string): string =>
  program === ''
    ? 'exec: "": no command specified'
    : program.includes('/')
      ? `exec: "${program}": stat ${program}: no such file or directory`
      : `exec: "${program}": executable file not found in $PATH`

/** What the last candidate's error means. */
export const notStartedText = (program: string, error: number): string =>
  error === errno.EACCES
    ? `exec: "${program}": permission denied`
    : error === errno.ENOENT || error === errno.ENOTDIR
      ? notFoundText(program)
      : `exec: "${program}": ${errorText(error)}`

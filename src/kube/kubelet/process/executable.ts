/** Finds the program that a command line means, the way a shell would, but inside the image first. */
import { accessSync, constants, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

/** Nothing that can be executed has this name; the message is the one container runtimes give. */
export class NoExecutable extends Error {
  override readonly name = 'NoExecutable'
}

export interface Place {
  readonly rootfs: string
  /** On the host. */
  readonly cwd: string
  /** Folders, `:` between them. */
  readonly path: string
}

/** Node itself, the one that runs Ebb: images made from source name it without bringing it. */
const nodeNames = new Set(['node', 'nodejs', '/usr/bin/node', '/usr/local/bin/node'])

/**
 * The command line with its program as a path on this machine, and arguments that name files of the image as paths
 * into it. Throws NoExecutable.
 */
export function resolveCommand(command: readonly string[], place: Place): readonly string[] {
  const [program = '', ...rest] = command
  return [findProgram(program, place), ...rest.map((word) => insideImage(word, place.rootfs))]
}

function findProgram(program: string, { rootfs, cwd, path }: Place): string {
  const fail = (why: string): never => {
    throw new NoExecutable(`exec: "${program}": ${why}`)
  }
  if (program === '') return fail('no command specified')
  if (isAbsolute(program)) {
    const inside = join(rootfs, program)
    if (isExecutable(inside)) return inside
    if (nodeNames.has(program)) return process.execPath
    if (isExecutable(program)) return program
    return fail(`stat ${program}: no such file or directory`)
  }
  if (program.includes('/')) {
    const found = join(cwd, program)
    if (isExecutable(found)) return found
    return fail(exists(found) ? 'permission denied' : `stat ${program}: no such file or directory`)
  }
  for (const folder of path.split(':')) {
    if (folder.startsWith(rootfs) && isExecutable(join(folder, program)))
      return join(folder, program)
  }
  if (nodeNames.has(program)) return process.execPath
  for (const folder of path.split(':')) {
    if (folder !== '' && isExecutable(join(folder, program))) return join(folder, program)
  }
  return fail('executable file not found in $PATH')
}

function insideImage(word: string, rootfs: string): string {
  if (!/^\/[^/]/.test(word)) return word
  const inside = join(rootfs, word)
  return inside.startsWith(`${rootfs}/`) && exists(inside) ? inside : word
}

/** A program of this machine by name; undefined when there is none. */
export const findOnHost = (program: string): string | undefined =>
  ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/sbin', '/usr/local/bin']
    .map((folder) => join(folder, program))
    .find(isExecutable)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch {
    return false
  }
}

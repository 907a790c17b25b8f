/** Command lines as people write them into a Procfile or a start script. */
import { join } from 'node:path'
import { BuildError } from '../build-error.ts'
import type { SourceFolder } from './folder.ts'

/** A plain command is started as it is, so that the program itself gets the signals; anything else by a shell. */
export function commandOf(line: string): readonly string[] {
  const words = line.split(/\s+/)
  const plain = words.every((word) => /^[\w@%+=:,./-]+$/.test(word)) && !words[0]?.includes('=')
  return plain ? words : ['/bin/sh', '-c', line]
}

/** The `web` line of a Procfile; undefined when there is no Procfile. Throws BuildError when it has none. */
export async function procfileLine({ root, text }: SourceFolder): Promise<string | undefined> {
  const procfile = await text('Procfile')
  if (procfile === undefined) return undefined
  const line = /^web:[ \t]*(\S.*)$/m.exec(procfile)?.[1]
  if (line === undefined)
    throw new BuildError(`${join(root, 'Procfile')}: expected a line "web: COMMAND"`)
  return line.trim()
}

/** Puts a folder of programs, relative to where the command starts, in front of a command's own. */
export function withPrograms(
  line: string,
  folder: string,
  has: (program: string) => boolean,
): readonly string[] {
  const command = commandOf(line)
  const [program = '', ...args] = command
  if (program === '/bin/sh' && command.length === 3)
    return ['/bin/sh', '-c', `export PATH="$PWD/${folder}:$PATH"; ${line}`]
  return has(program) ? [`${folder}/${program}`, ...args] : command
}

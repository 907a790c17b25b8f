/** Command lines that enter containers with a root of their own. What they have to do lies in files beside the container's changes. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EnterRecord } from '../launcher/protocol.ts'
import { candidatesOf, notFoundText } from './program.ts'
import { enterScript } from './enter-script.ts'
import { installInit } from './install-init.ts'
import { seccompFilter } from './seccomp.ts'

/** Those who spawn these do so at once; files of so many are kept. */
const maxKept = 64
const kept: string[] = []
let count = 0

/** Throws for a command with a NUL byte. */
export function enterArguments(
  root: EnterRecord,
  pid: number,
  env: Readonly<Record<string, string>>,
  command: readonly string[],
): readonly string[] {
  const [program = ''] = command
  const { filtered, ...credentials } = root.credentials
  const script = enterScript({
    ...root,
    pid,
    credentials: {
      ...credentials,
      ...(filtered && {
        filter: seccompFilter(root.machine, credentials.capabilities, root.userNamespace),
      }),
    },
    candidates: candidatesOf(program, env['PATH'] ?? ''),
    notFound: `${notFoundText(program)}\n`,
    notExecutable: `exec: "${program}": permission denied\n`,
  })
  const path = join(root.folder, `enter-${process.pid}-${count++}`)
  writeFileSync(path, script.bytes(), { mode: 0o600 })
  const init = installInit(`${path}-init`, root.machine)
  kept.push(path, init)
  for (const old of kept.splice(0, Math.max(0, kept.length - 2 * maxKept)))
    rmSync(old, { force: true })
  return [init, path, ...command]
}

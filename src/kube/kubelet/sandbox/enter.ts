/** Command lines that enter containers with a root of their own. What they have to do lies in files beside the container's changes. */
import { createHash } from 'node:crypto'
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EnterRecord } from '../launcher/protocol.ts'
import { candidatesOf, notFoundText } from './program.ts'
import { enterScript } from './enter-script.ts'
import { seccompFilter } from './seccomp.ts'

/** A probe asks the same again and again; of what people ask the last ones are kept. */
const maxKept = 64
const kept = new Map<string, true>()

/** Throws for a command with a NUL byte. */
export function enterArguments(
  root: EnterRecord,
  pid: number,
  env: Readonly<Record<string, string>>,
  command: readonly string[],
): readonly string[] {
  const [program = ''] = command
  const digest = createHash('sha256')
    .update(JSON.stringify([pid, program, env['PATH']]))
    .digest('hex')
  const path = join(root.folder, `enter-${digest.slice(0, 16)}`)
  if (!kept.delete(path) || !existsSync(path)) {
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
    writeFileSync(`${path}.new`, script.bytes(), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
  kept.set(path, true)
  if (kept.size > maxKept)
    for (const oldest of kept.keys()) {
      kept.delete(oldest)
      rmSync(oldest, { force: true })
      break
    }
  return [root.init, path, ...command]
}

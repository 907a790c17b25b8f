/**
 * emptyDir volumes in memory: a tmpfs of the size that was asked for, mounted where root can; elsewhere a folder like any
 * other. What is mounted is let go of before a pod's folder is removed, also after a crash, by looking at what is there.
 */
import { execFile } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import { findOnHost } from '../process/executable.ts'

const run = promisify(execFile)

/** Makes the folder one in memory, once. `sizeBytes` undefined = half of the machine's, the kernel's default. */
export async function mountMemory(folder: string, sizeBytes: number | undefined): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o777 })
  const mount = findOnHost('mount')
  if (process.getuid?.() !== 0 || !mount || mountsBelow(folder).length > 0) return
  const size = sizeBytes === undefined ? '' : `,size=${Math.ceil(sizeBytes)}`
  await run(mount, ['-t', 'tmpfs', '-o', `mode=0777${size}`, 'ebb-volume', folder])
}

/** Lets go of everything mounted in or below a folder; programs that see it in a view of their own keep it until they end. */
export async function unmountBelow(folder: string): Promise<void> {
  const mounts = mountsBelow(folder)
  const umount = mounts.length > 0 ? findOnHost('umount') : undefined
  // The deepest first.
  for (const point of mounts.toReversed()) if (umount) await run(umount, ['-l', point])
}

function mountsBelow(path: string): readonly string[] {
  let table: string
  let folder: string
  try {
    folder = realpathSync(path)
    table = readFileSync('/proc/self/mountinfo', 'utf8')
  } catch {
    return [] // no such folder, or no Linux
  }
  return table
    .split('\n')
    .map((line) => unescaped(line.split(' ')[4] ?? ''))
    .filter((point) => point === folder || point.startsWith(`${folder}/`))
    .toSorted()
}

/** Blanks and the like stand as octal numbers in the kernel's table. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

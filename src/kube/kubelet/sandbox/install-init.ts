/**
 * Writes the program that makes and enters containers. Each copy is executed once: a container whose program is a link to
 * `/proc/self/exe` gets hold of the file that entered it, and may write to it as root (CVE-2019-5736); nobody executes that
 * file again.
 */
import { writeFileSync } from 'node:fs'
import { initProgram, type Machine } from './init-program.ts'

let made: { readonly machine: Machine; readonly bytes: Uint8Array } | undefined

/** Answers the path, which must be new. */
export function installInit(path: string, machine: Machine): string {
  if (made?.machine !== machine) made = { machine, bytes: initProgram(machine) }
  writeFileSync(path, made.bytes, { mode: 0o700, flag: 'wx' })
  return path
}

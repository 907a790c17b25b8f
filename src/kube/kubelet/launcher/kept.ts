/**
 * Containers with a root of their own (sandbox/): the process that is started keeps the program rather than being it. Here
 * is what it reports, and how the program's end is read.
 */
import { readFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import type { ExitRecord, KeptSpec, LimitsSpec } from './protocol.ts'

/** Of descriptor 3: the program's pid (8 bytes) once there is a process, then error and step (16 bytes) if it failed. */
export interface Report {
  readonly pid?: number
  readonly failed?: { readonly address: number; readonly error: number }
}

/** Resolves when the program has begun or failed to. On a terminal, as soon as there is a process. */
export function reportOf(child: ChildProcess, onTerminal: boolean): Promise<Report> {
  const pipe = child.stdio[3]
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const done = () => resolve(reportIn(bytes))
    child.once('error', done)
    if (!pipe || !('setEncoding' in pipe)) return done()
    pipe.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (onTerminal && bytes.length >= 8) done()
    })
    pipe.on('end', done)
    pipe.on('error', done)
  })
}

export function reportIn(bytes: Buffer): Report {
  const hasPid = bytes.length === 8 || bytes.length === 24
  const at = hasPid ? 8 : 0
  return {
    ...(hasPid && { pid: Number(bytes.readBigInt64LE(0)) }),
    ...(bytes.length - at === 16 && {
      failed: {
        error: -Number(bytes.readBigInt64LE(at)),
        address: Number(bytes.readBigInt64LE(at + 8)),
      },
    }),
  }
}

/** How the program ended, as its keeper noted it; undefined when that was ended before. Memory that ran out is its reason. */
export function keptEnd(
  kept: KeptSpec,
  limits: LimitsSpec | undefined,
  nowMs: number,
): ExitRecord | undefined {
  let end: Buffer
  try {
    end = readFileSync(kept.endPath)
  } catch {
    return undefined
  }
  if (end.length < 28) return undefined
  const byItself = end.readInt32LE(8) === 1
  const status = end.readInt32LE(24)
  const exitCode = byItself ? status : 128 + status
  return {
    exitCode,
    ...(!byItself && { signal: status }),
    reason: exitCode === 0 ? 'Completed' : ranOut(limits) ? 'OOMKilled' : 'Error',
    finishedAtMs: nowMs,
  }
}

/** Something in these groups was killed because there was no memory left. */
export function ranOut(limits: LimitsSpec | undefined): boolean {
  if (limits?.killsPath === undefined) return false
  try {
    const kills = /^oom_kill (\d+)/m.exec(readFileSync(limits.killsPath, 'utf8'))
    return Number(kills?.[1] ?? 0) > 0
  } catch {
    return false
  }
}

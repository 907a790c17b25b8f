/** How a container has ended, from what is known of its process: its code or signal, what its keeper noted, or that it never began. */
import { constants } from 'node:os'
import { keptEnd } from './kept.ts'
import { isAlive } from './proc.ts'
import type { ContainerRecord, ExitRecord } from './protocol.ts'

/** The process whose end is the container's. */
export const runs = ({ pid, startTicks, keeper }: ContainerRecord): boolean =>
  keeper ? isAlive(keeper.pid, keeper.startTicks) : isAlive(pid, startTicks)

/** The end of a container that was nobody's child here: what its keeper has noted. */
export const lateEnd = ({ kept, limits }: ContainerRecord, nowMs: number): ExitRecord =>
  (kept && keptEnd(kept, limits, nowMs)) ?? unknownExit(nowMs)

export function exitOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  nowMs: number,
): ExitRecord {
  const number = signal === null ? undefined : constants.signals[signal]
  const exitCode = number === undefined ? (code ?? 0) : 128 + number
  return {
    exitCode,
    ...(number !== undefined && { signal: number }),
    reason: exitCode === 0 ? 'Completed' : 'Error',
    finishedAtMs: nowMs,
  }
}

const unknownExit = (nowMs: number): ExitRecord => ({
  exitCode: 137,
  reason: 'Error',
  message: 'The container ended while nobody was watching it; its exit code is not known',
  finishedAtMs: nowMs,
})

export function startError(error: unknown, nowMs: number): ExitRecord {
  const text = error instanceof Error ? error.message : String(error)
  return {
    exitCode: 128,
    reason: 'StartError',
    message: `failed to start process: ${text}`,
    finishedAtMs: nowMs,
  }
}

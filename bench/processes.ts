/** What processes cost, as Linux counts it: memory and CPU time. */
import { readFileSync, readdirSync } from 'node:fs'
import { processesMentioning, type Ebb } from '../test/e2e/platform.ts'

/** Control plane, launcher, gateway and every pod of a platform. */
export const processesOf = (ebb: Ebb): readonly number[] => [
  ...new Set([ebb.pid, ...processesMentioning(ebb.dataDir)]),
]

/** Memory of all of them in MB. */
export function memoryOf(pids: readonly number[]): {
  /** What the machine has less: a page that several processes map counts once. */
  readonly resident: number
  /** The sum of each one's RSS: pages of the shared node binary count once in each. */
  readonly sumOfRss: number
} {
  const sum = (field: string) => pids.reduce((total, pid) => total + rollupKb(pid, field), 0) / 1024
  return { resident: sum('Pss'), sumOfRss: sum('Rss') }
}

function rollupKb(pid: number, field: string): number {
  const text = read(`/proc/${pid}/smaps_rollup`)
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

/** CPU time of all threads of these processes so far, in seconds; exact, not sampled by ticks. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0
  for (const pid of pids)
    for (const thread of threads(pid))
      nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0)
  return nanoseconds / 1e9
}

function threads(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return [] // ended
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // ended
  }
}

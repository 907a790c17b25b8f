/** Memory and processor time of a process and everything it has started, from /proc. */
import { readFile } from 'node:fs/promises'

/** Processes looked at, at most: one that forks without end must not keep us. */
const maxProcesses = 1_000

/**
 * Bytes of a process and its descendants. Pages shared with other processes count in proportion where the kernel tells,
 * else in full. 0 for a process that is gone.
 */
export async function memoryOfTree(pid: number): Promise<number> {
  const pids = [pid]
  let bytes = 0
  for (const each of pids) {
    bytes += await memoryOf(each)
    if (pids.length < maxProcesses) pids.push(...(await childrenOf(each)))
  }
  return bytes
}

async function memoryOf(pid: number): Promise<number> {
  const share = /^Pss:\s+(\d+) kB/m.exec(await read(`/proc/${pid}/smaps_rollup`))
  const resident = share ?? /^VmRSS:\s+(\d+) kB/m.exec(await read(`/proc/${pid}/status`))
  return Number(resident?.[1] ?? 0) * 1024
}

/** Of the machine's clock that /proc counts in: 100 a second on every Linux (USER_HZ). */
const nanosPerTick = 10_000_000

/** Nanoseconds of processor that a process, its descendants and those of its children that have ended have used. */
export async function cpuNanosOfTree(pid: number): Promise<number> {
  const pids = [pid]
  let ticks = 0
  for (const each of pids) {
    const text = await read(`/proc/${each}/stat`)
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    for (const field of fields.slice(11, 15)) ticks += Number(field) || 0
    if (pids.length < maxProcesses) pids.push(...(await childrenOf(each)))
  }
  return ticks * nanosPerTick
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await read(`/proc/${pid}/task/${pid}/children`)
  return text.split(' ').filter(Boolean).map(Number)
}

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

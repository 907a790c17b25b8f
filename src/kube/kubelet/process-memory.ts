/** Memory of a process and everything it has started, from /proc. */
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

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await read(`/proc/${pid}/task/${pid}/children`)
  return text.split(' ').filter(Boolean).map(Number)
}

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

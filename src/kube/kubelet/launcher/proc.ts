/** What /proc says about processes: who lives, since when, and which of them carry our mark. */
import { readdirSync, readFileSync } from 'node:fs'

/** Environment variable that marks every process of a container, and so its children. */
export const markName = 'EBB_CONTAINER_ID'

/** State and start time of a process; undefined when there is none. */
export function processStat(
  pid: number,
): { readonly state: string; readonly group: number; readonly startTicks: string } | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The command name, in brackets, may contain anything: fields are counted from the last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? 'X', group: Number(fields[2]), startTicks: fields[19] ?? '' }
}

/** Processes that a process has started and that have not ended. */
export function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    return text.split(' ').map(Number).filter(Boolean)
  } catch {
    return []
  }
}

/** True while the very process that was started then is running (a zombie is not). */
export function isAlive(pid: number, startTicks: string): boolean {
  const stat = processStat(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z'
}

/** Processes whose mark begins with `prefix`: pid and whole mark. Costs a read for each process of ours. */
export function* markedProcesses(
  prefix: string,
): Generator<{ readonly pid: number; readonly mark: string }> {
  const needle = `${markName}=${prefix}`
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    let environment: string
    try {
      environment = readFileSync(`/proc/${entry}/environ`, 'latin1')
    } catch {
      continue // gone, or another user's
    }
    const at = environment.startsWith(needle) ? 0 : environment.indexOf(`\0${needle}`) + 1
    if (at === 0 && !environment.startsWith(needle)) continue
    const end = environment.indexOf('\0', at)
    yield { pid, mark: environment.slice(at + markName.length + 1, end < 0 ? undefined : end) }
  }
}

/** Changes with every boot of the machine; process ids and start times mean nothing across it. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

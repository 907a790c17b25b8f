/** How signals reach the processes of a container: by its group, its terminal's session, or one by one inside its namespace. */
import { constants } from 'node:os'
import { childrenOf } from './proc.ts'
import type { ContainerRecord } from './protocol.ts'

/** What runs on a terminal is a session of its own; the one who holds the terminal ends after it, with its code. */
export function signalContainer(container: ContainerRecord, signal: NodeJS.Signals): void {
  const { pid, exec } = container
  if (container.kept) return signalKept(container, signal)
  const children = exec.streams?.tty ? childrenOf(pid) : []
  for (const child of children) killGroup(child, signal)
  if (children.length === 0 || signal === 'SIGSTOP' || signal === 'SIGCONT') killGroup(pid, signal)
}

export function killGroup(pid: number, signal: NodeJS.Signals): void {
  if (pid <= 1) return
  try {
    process.kill(-pid, signal)
  } catch {
    // nobody left
  }
}

/** TERM is for the program alone, as its first process; stopping and going on are for all of them. */
function signalKept(
  { pid, kept }: Pick<ContainerRecord, 'pid' | 'kept'>,
  signal: NodeJS.Signals,
): void {
  if (pid <= 1) return
  if (signal === 'SIGSTOP' || signal === 'SIGCONT') {
    for (const each of family(pid)) kill(each, signal)
    return
  }
  kill(pid, signal === 'SIGTERM' ? signalNamed(kept?.stopSignal) : signal)
}

/** `SIGQUIT`, `QUIT` or `3`; TERM for what is none. */
function signalNamed(name = ''): NodeJS.Signals | number {
  const text = name.toUpperCase()
  const number = Number(text)
  if (text !== '' && Number.isInteger(number) && number > 0 && number < 65) return number
  const found = Object.keys(constants.signals).find(
    (known): known is NodeJS.Signals => known === text || known === `SIG${text}`,
  )
  return found ?? 'SIGTERM'
}

/** A process and all that came of it; orphans belong to the first process of their namespace. */
function family(pid: number): readonly number[] {
  const pids = [pid]
  for (const each of pids) if (pids.length < maxFamily) pids.push(...childrenOf(each))
  return pids
}

const maxFamily = 10_000

export function kill(pid: number, signal: NodeJS.Signals | number): void {
  try {
    process.kill(pid, signal)
  } catch {
    // gone already
  }
}

/** How signals reach the processes of a container: by its group, its terminal's session, or one by one inside its namespace. */
import { readFileSync } from 'node:fs'
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

/** False when asking the container to end is in vain (`canHear`). What is gone, or can not be read, is taken to hear. */
export function hearsEnd({ pid, kept }: Pick<ContainerRecord, 'pid' | 'kept'>): boolean {
  if (!kept) return true
  const signal = signalNamed(kept.stopSignal)
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return canHear(status, typeof signal === 'number' ? signal : constants.signals[signal])
  } catch {
    return true
  }
}

/**
 * Whether a process with this `/proc/PID/status` gets a signal: the kernel keeps from the first process of a namespace what
 * that neither handles nor has blocked in order to fetch it.
 */
export function canHear(status: string, signal: number): boolean {
  if (!/^NSpid:.*\t1$/m.test(status)) return true
  const mask = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\t([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? 'f'.repeat(16)}`)
  return (((mask('SigCgt') | mask('SigBlk')) >> BigInt(signal - 1)) & 1n) === 1n
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

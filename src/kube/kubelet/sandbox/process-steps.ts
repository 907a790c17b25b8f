/** Steps that starting a container and entering one have in common: who the program is, what it may do, where it is. */
import { Label, type Argument, type Memory, type Script } from './script.ts'
import { errno } from './syscalls.ts'

/** Flags of clone, unshare and setns (linux/sched.h). */
export const namespaces = {
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  process: 0x20000000,
  network: 0x40000000,
} as const

export interface Credentials {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
  /** Numbers of the capabilities that it and its children may ever have. */
  readonly capabilities: readonly number[]
  /** Number of the last capability that this machine knows. */
  readonly lastCapability: number
  readonly noNewPrivileges: boolean
  /** Program of the kernel's filter of system calls (struct sock_filter, 8 bytes each); absent = none. */
  readonly filter?: Uint8Array
}

/** What may be the program, in order. */
export interface Executable {
  readonly candidates: readonly string[]
  /** Where to go on when a candidate is there and can not be executed; default: the next one. */
  readonly onRefused?: Label
}

export const whatExecute = 'execute'

export function prctl(
  script: Script,
  what: string,
  option: number,
  value: number,
  allow = 0,
): void {
  script.call(what, 'prctl', [option, value, 0, 0, 0], { allow })
}

export function clone(
  script: Script,
  what: string,
  flags: number,
  pid: Memory,
  child: Label,
): void {
  const sigchld = 17
  script.call(what, 'clone', [flags | sigchld, 0, 0, 0, 0], { to: pid, onZero: child })
}

/** From here on everything is limited to what the program may do. */
export function becomeUser(script: Script, who: Credentials, mapped: boolean): void {
  if (who.noNewPrivileges) prctl(script, 'forbid new privileges', 38, 1)
  if (who.filter) {
    const filter = script.data(who.filter)
    const length = Buffer.alloc(16)
    length.writeUInt16LE(who.filter.length / 8)
    const program = script.data(length)
    // The address of the filter is known once the script is: it is put there by a step.
    const pointer = script.view(program, 8)
    script.add({ at: filter }, 0, { to: pointer })
    script.call('filter system calls', 'seccomp', [1, 0, { at: program }])
  }
  for (let each = 0; each <= who.lastCapability; each++)
    if (!who.capabilities.includes(each))
      prctl(script, 'give up capabilities', 24, each, errno.EINVAL)
  if (mapped) return
  const groups = Buffer.alloc(who.groups.length * 4)
  for (const [i, group] of who.groups.entries()) groups.writeUInt32LE(group, i * 4)
  script.call('set its groups', 'setgroups', [who.groups.length, { at: script.data(groups) }])
  script.call(`become group ${who.gid}`, 'setgid', [who.gid])
  script.call(`become user ${who.uid}`, 'setuid', [who.uid])
}

/** Becomes the program. Goes on after the last candidate when there is none; its error is that of the last. */
export function execute(
  script: Script,
  { candidates, onRefused }: Executable,
  argv: Argument,
  environment: Argument,
): void {
  // Of several, the first that can be executed; of one, it matters why it can't.
  const refused = candidates.length === 1 ? onRefused : undefined
  for (const path of candidates) {
    const next = new Label()
    const options = refused ? { allow: errno.ENOENT, next, onError: refused } : { onError: next }
    script.call(whatExecute, 'execve', [{ at: script.text(path) }, argv, environment], options)
    script.place(next)
  }
}

/**
 * Waits for the child and ends as it did, 128 + n after signal n. What the kernel says of the end goes to the file `note`:
 * a siginfo with its code at 8 (1 = by itself) and exit code or signal at 24.
 */
export function waitAndEnd(script: Script, pid: Memory, note?: Argument): void {
  const end = script.room(128)
  const exitCode = script.room(8)
  const byItself = new Label()
  script.call('wait', 'waitid', [1, { in: pid }, { at: end }, 4, 0])
  if (note) script.call('note the end', 'write', [note, { at: end }, 32], { allow: errno.ENOSPC })
  script.add({ in: end, plus: 8 }, -1, { onZero: byItself })
  script.add({ in: end, plus: 24 }, 128, { to: exitCode })
  script.call('end', 'exit_group', [{ in: exitCode }])
  script.place(byItself)
  script.call('end', 'exit_group', [{ in: end, plus: 24 }])
}

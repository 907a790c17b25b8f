/**
 * The system calls that run one more command inside a container that has a root of its own: enter its cgroups and its
 * namespaces, fork (a process namespace is entered by children only), be limited as it is, become the command. The parent
 * waits and ends as the command did.
 */
import type { Machine } from './init-program.ts'
import {
  becomeUser,
  clone,
  execute,
  namespaces,
  prctl,
  waitAndEnd,
  type Credentials,
} from './process-steps.ts'
import { argv, environment, Label, Script } from './script.ts'

export interface EnterPlan {
  readonly machine: Machine
  /** The container's program, on this machine. */
  readonly pid: number
  readonly userNamespace: boolean
  /** The container has a network of its own. */
  readonly network: boolean
  readonly cgroups: readonly string[]
  /** It has a cgroup namespace of its own. */
  readonly cgroupNamespace: boolean
  readonly credentials: Credentials
  readonly workingDir: string
  readonly candidates: readonly string[]
  /** What is written to standard error when there is no such program, and when it can not be executed. */
  readonly notFound: string
  readonly notExecutable: string
}

const here = -100

export function enterScript(plan: EnterPlan): Script {
  const script = new Script(plan.machine)
  const failed = new Label()
  const child = new Label()
  script.onFailure(failed)
  const text = (value: string) => ({ at: script.text(value) })
  const pid = script.room(8)
  const process = script.room(8)

  for (const path of plan.cgroups) {
    const file = script.room(8)
    script.call('enter its cgroup', 'openat', [here, text(path), 1 | 0x80000, 0], { to: file })
    script.call('enter its cgroup', 'write', [{ in: file }, text('0'), 1])
    script.call('enter its cgroup', 'close', [{ in: file }])
  }
  const flags =
    namespaces.mount |
    namespaces.process |
    namespaces.ipc |
    namespaces.uts |
    (plan.cgroupNamespace ? namespaces.cgroup : 0) |
    (plan.network ? namespaces.network : 0) |
    (plan.userNamespace ? namespaces.user : 0)
  script.call('find the container', 'pidfd_open', [plan.pid, 0], { to: process })
  script.call('enter the container', 'setns', [{ in: process }, flags])
  clone(script, 'fork', 0, pid, child)

  waitAndEnd(script, pid)

  script.place(child)
  const die = () => prctl(script, 'end with its parent', 1, 9)
  die()
  script.call('set the mask of new files', 'umask', [0o022])
  const there = new Label()
  script.call('enter the working directory', 'chdir', [text(plan.workingDir)], { onError: there })
  script.place(there)
  becomeUser(script, plan.credentials, plan.userNamespace)
  die()
  const missing = new Label()
  const refused = new Label()
  const variables = script.room(8)
  script.add({ in: environment }, 0, { to: variables })
  execute(
    script,
    { candidates: plan.candidates, onRefused: refused },
    { in: argv },
    { in: variables },
  )
  script.jump(missing)

  const say = (label: Label, message: string, code: number) => {
    const over = new Label()
    script.place(label)
    script.call('say so', 'write', [2, text(message), Buffer.byteLength(message)], {
      onError: over,
    })
    script.place(over)
    script.call('end', 'exit_group', [code])
  }
  say(missing, plan.notFound, 127)
  say(refused, plan.notExecutable, 126)
  say(failed, 'the container can not be entered; it has just ended, perhaps\n', 126)
  return script
}

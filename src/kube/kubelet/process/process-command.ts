/**
 * A command with streams, started beside the program of a container that is a process of this machine: what `kubectl exec`
 * runs. It is a child of the control plane, whose pipes it has, and ends with it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { EnterCommand } from './enter-command.ts'
import { openPipes } from './program-pipes.ts'
import type { RunningCommand, TerminalSize } from '../runtime.ts'
import { onTerminal, terminalSizer } from './terminal.ts'

/** What a command left running may hold its output open; after so long without a word it is let go. */
const silenceMs = 1_000

/** Rejects when it can't be started. */
export async function openCommand(
  command: EnterCommand,
  options: { readonly stdin: boolean; readonly tty: boolean; readonly size?: TerminalSize },
  clock: Clock,
): Promise<RunningCommand> {
  return options.tty
    ? await openOnTerminal(command, options, clock)
    : await openWithPipes(command, options, clock)
}

async function openWithPipes(
  command: EnterCommand,
  { stdin }: { readonly stdin: boolean },
  clock: Clock,
): Promise<RunningCommand> {
  const pipes = await openPipes({ stdin })
  try {
    const child = start(command, pipes.stdio)
    pipes.spawned()
    await spawned(child)
    return {
      ...(pipes.stdin && { stdin: pipes.stdin }),
      stdout: pipes.stdout,
      stderr: pipes.stderr,
      resize: () => {},
      exited: exitOf(child, [pipes.stdout, pipes.stderr], clock),
      close() {
        killGroup(child)
        pipes.close()
      },
    }
  } catch (error) {
    pipes.close()
    throw error
  }
}

async function openOnTerminal(
  command: EnterCommand,
  { stdin, size }: { readonly stdin: boolean; readonly size?: TerminalSize },
  clock: Clock,
): Promise<RunningCommand> {
  // Its input stays open where nobody types: the end of it would be typed as the end of the program's.
  const child = start({ ...command, ...onTerminal(command, size) }, ['pipe', 'pipe', 'ignore'])
  await spawned(child)
  const { stdin: input, stdout } = child
  if (!input || !stdout) throw new Error('a process without pipes')
  input.on('error', () => {})
  return {
    ...(stdin && { stdin: input }),
    stdout,
    resize: terminalSizer(() => child.pid, clock),
    exited: exitOf(child, [stdout], clock),
    close() {
      killGroup(child) // the terminal goes with it, and hangs up on the program
      input.destroy()
      stdout.destroy()
    },
  }
}

type Stdio = readonly [number | 'pipe' | 'ignore', number | 'pipe', number | 'ignore']

const start = ({ argv, cwd, env, uid, gid }: EnterCommand, stdio: Stdio): ChildProcess =>
  spawn(argv[0] ?? '', argv.slice(1), {
    cwd,
    env,
    detached: true,
    stdio: [...stdio],
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  })

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
}

function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // gone already
  }
}

async function exitOf(
  child: ChildProcess,
  outputs: readonly Readable[],
  clock: Clock,
): Promise<number> {
  const ends = outputs.map((output) => endOf(output))
  const code = await new Promise<number>((resolve) => {
    child.once('exit', (exitCode, signal) =>
      resolve(signal === null ? (exitCode ?? 0) : 128 + constants.signals[signal]),
    )
  })
  const cancels = outputs.map((output) => endSilent(output, clock))
  await Promise.all(ends)
  for (const cancel of cancels) cancel()
  return code
}

const endOf = (output: Readable): Promise<void> =>
  new Promise((resolve) => {
    if (output.destroyed || output.readableEnded) return resolve()
    output.once('end', resolve).once('close', resolve)
  })

/** Ends an output that has been silent for a while although somebody reads it. */
function endSilent(output: Readable, clock: Clock): () => void {
  let seen = -1
  const look = (): void => {
    const read = output instanceof Socket ? output.bytesRead : 0
    if (read === seen && output.readableFlowing) output.destroy()
    seen = read
    cancel = clock.after(silenceMs, look)
  }
  let cancel = clock.after(silenceMs, look)
  return () => cancel()
}

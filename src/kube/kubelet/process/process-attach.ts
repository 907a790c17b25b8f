/**
 * The streams of a container's own program, where it is a process of this machine. Its output is read from its log, so
 * that a slow reader never holds it up; its input is a named pipe, which the launcher keeps open beyond any reader.
 */
import { closeSync, constants, mkdirSync, openSync } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import { growingFile } from './growing-file.ts'
import type { StreamContext } from '../launcher/protocol.ts'
import { makePipe } from './program-pipes.ts'
import type { ContainerSpec, ContainerStreams } from '../runtime.ts'
import { terminalSizer } from './terminal.ts'

/** Makes what a container that is about to start needs to be attached to. A terminal always has an input. */
export async function prepareStreams(spec: ContainerSpec, folder: string): Promise<StreamContext> {
  const { logPath, stdin, tty } = spec
  if (!stdin && !tty) return { logPath }
  mkdirSync(folder, { recursive: true })
  const inputPath = join(folder, `input-${spec.container}-${spec.attempt}`)
  await rm(inputPath, { force: true })
  await makePipe(inputPath)
  return { logPath, inputPath, ...(stdin === 'once' && { once: true }), ...(tty && { tty: true }) }
}

/** A program that has said more than this does not wait for whom it shows its prompt to. */
const beginningBytes = 4096

/** Looks on from now; the first who does so at a program that waits for input also sees what it has said before. */
export async function attachProcess(
  { logPath, inputPath, once, tty }: StreamContext,
  {
    pid,
    exited,
    endInput,
    isFirst,
    clock,
  }: {
    readonly pid: number
    readonly exited: Promise<unknown>
    readonly endInput: () => Promise<void>
    readonly isFirst: boolean
    readonly clock: Clock
  },
): Promise<ContainerStreams> {
  const { size } = await stat(logPath)
  const hasBegun = once || size <= beginningBytes
  const from = inputPath !== undefined && isFirst && hasBegun ? 0 : size
  const stdout = growingFile(logPath, { from, ended: exited, clock })
  stdout.on('error', () => {})
  const stdin = inputPath === undefined ? undefined : openInput(inputPath)
  // For all others the launcher goes on holding it open: the end of one who looked on is not the end of the input.
  if (once)
    stdin?.once('close', () => {
      endInput().catch(() => {}) // the program has ended, and the launcher with it
    })
  return {
    ...(stdin && { stdin }),
    stdout,
    resize: tty ? terminalSizer(() => pid, clock) : () => {},
    close() {
      stdin?.destroy()
      stdout.destroy()
    },
  }
}

/** Undefined when the program reads no more. */
function openInput(path: string): Socket | undefined {
  let input: number | undefined
  try {
    input = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
    const stream = new Socket({ fd: input, readable: false })
    stream.on('error', () => {})
    return stream
  } catch {
    if (input !== undefined) closeSync(input)
    return undefined
  }
}

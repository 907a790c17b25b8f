/**
 * Pipes between this process and a program. Node's own are sockets, and a program that opens /dev/stdin or /dev/stderr by
 * name can't open a socket; these are real pipes, made as named ones that lose their name at once.
 */
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'

export interface ProgramPipes {
  /** For `spawn`: the program's ends. */
  readonly stdio: readonly [number | 'ignore', number, number]
  readonly stdin?: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** To be called once the program has its ends. */
  spawned(): void
  close(): void
}

/** Makes a pipe with this name. Rejects when it can't. */
export const makePipe = async (...paths: readonly string[]): Promise<void> => {
  await promisify(execFile)('mkfifo', ['-m', '600', ...paths])
}

/** Pipes for one program. */
export async function openPipes({ stdin }: { readonly stdin: boolean }): Promise<ProgramPipes> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-pipes-'))
  const open: number[] = []
  try {
    const paths = ['in', 'out', 'err'].map((name) => join(folder, name))
    await makePipe(...paths)
    const [input, output, errors] = paths.map((path, i) => bothEnds(path, i === 0, open))
    if (!input || !output || !errors) throw new Error('no pipes')
    if (!stdin) for (const end of [input.own, input.theirs]) close(end, open)
    const streams = {
      ...(stdin && { stdin: new Socket({ fd: taken(input.own, open), readable: false }) }),
      stdout: new Socket({ fd: taken(output.own, open), writable: false }),
      stderr: new Socket({ fd: taken(errors.own, open), writable: false }),
    }
    const closeTheirs = () => {
      for (const end of open.splice(0)) closeSync(end)
    }
    return {
      stdio: [stdin ? input.theirs : 'ignore', output.theirs, errors.theirs],
      ...streams,
      spawned: closeTheirs,
      close() {
        closeTheirs()
        for (const stream of Object.values(streams)) stream.destroy()
      },
    }
  } catch (error) {
    for (const end of open) closeSync(end)
    throw error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Opens both ends, which would each wait for the other: a third one that both reads and writes comes first. */
function bothEnds(path: string, weWrite: boolean, open: number[]) {
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants
  const helper = openSync(path, 'r+')
  try {
    const own = openSync(path, (weWrite ? O_WRONLY : O_RDONLY) | O_NONBLOCK)
    open.push(own)
    const theirs = openSync(path, weWrite ? O_RDONLY : O_WRONLY)
    open.push(theirs)
    return { own, theirs }
  } finally {
    closeSync(helper)
  }
}

function taken(end: number, open: number[]): number {
  open.splice(open.indexOf(end), 1)
  return end
}

function close(end: number, open: number[]): void {
  closeSync(taken(end, open))
}

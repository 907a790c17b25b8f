/**
 * A client and a program brought together: input, output and sizes pass both ways until the program has ended or the
 * client has left. How the client's streams travel (SPDY, WebSocket) is the session's own.
 */
import { finished, type Readable, type Writable } from 'node:stream'
import { sleep, type Clock } from '../../../lib/clock.ts'
import { exitStatus, failureStatus, type ExitStatus } from './exit-status.ts'
import type { ProgramStreams, RunningCommand, TerminalSize } from './pod-streams.ts'

/** The client's side. */
export interface Session {
  /** Absent: none was asked for. */
  readonly stdin?: Readable
  readonly stdout?: Writable
  readonly stderr?: Writable
  /** The client shows a terminal, and tells its size. */
  readonly tty: boolean
  /** Calls back with each size of the client's terminal. */
  onResize(listener: (size: TerminalSize) => void): void
  /** Tells how it ended and closes in order; resolves when the connection is closed. */
  finish(status: ExitStatus): Promise<void>
  /** Aborts when the client has left. */
  readonly gone: AbortSignal
}

/** A client that has left had no way to say that its input has ended: its command gets so long to end by itself. */
const leftGraceMs = 5_000
/** A client with a terminal tells its size at once; a program should begin with it. */
const firstSizeMs = 200

/** Resolves when it is over for both sides. Never rejects: the client is told what went wrong. */
export async function serveSession(
  session: Session,
  clock: Clock,
  start: (
    size: TerminalSize | undefined,
  ) => Promise<ProgramStreams & Partial<Pick<RunningCommand, 'exited'>>>,
): Promise<void> {
  let program
  let size: TerminalSize | undefined
  let begun: TerminalSize | undefined
  let resize = (told: TerminalSize): void => void (size = told)
  const sized = new Promise<void>((resolve) =>
    session.onResize((told) => {
      resize(told)
      resolve()
    }),
  )
  try {
    if (session.tty) await Promise.race([sized, sleep(clock, firstSizeMs)])
    begun = size
    program = await start(begun)
  } catch (thrown) {
    return await session.finish(failureStatus(thrown))
  }
  const { stdin, stdout, stderr, exited } = program
  let cancel = () => {}
  const left = (): void => {
    session.stdin?.destroy()
    stdin?.end()
    if (exited) cancel = clock.after(leftGraceMs, () => program.close())
    else program.close()
  }
  if (session.gone.aborted) left()
  else session.gone.addEventListener('abort', left, { once: true })
  resize = (told) => program.resize(told)
  if (size && size !== begun) program.resize(size) // told while it was starting
  if (session.stdin) copyInput(session.stdin, stdin)
  const copies = [copyOutput(stdout, session.stdout), stderr && copyOutput(stderr, session.stderr)]
  let status: ExitStatus
  try {
    const [code = 0] = await Promise.all([exited, ...copies])
    status = exitStatus(code)
  } catch (thrown) {
    status = failureStatus(thrown)
  }
  cancel()
  session.gone.removeEventListener('abort', left)
  program.close()
  await session.finish(status)
}

/** What a program does not take any more is thrown away: its sender must not wait for ever. */
function copyInput(from: Readable, to: Writable | undefined): void {
  from.on('error', () => {})
  if (!to) return void from.resume()
  to.on('error', () => {})
  finished(to, { readable: false }, () => {
    from.unpipe(to)
    from.resume()
  })
  from.pipe(to)
}

/** Resolves when all has been handed over; output that nobody asked for, or can take any more, is thrown away. */
function copyOutput(from: Readable, to: Writable | undefined): Promise<void> {
  if (to && !to.destroyed) {
    to.on('error', () => {})
    finished(to, { readable: false }, () => {
      from.unpipe(to)
      from.resume()
    })
    from.pipe(to, { end: false })
  } else from.resume()
  return new Promise((resolve) => finished(from, { writable: false }, () => resolve()))
}

/**
 * Commands and programs in an engine's containers with their streams (Engine API, "attach": the connection is handed over).
 * On a terminal it carries bytes both ways; otherwise output comes in frames that say whether it is stdout or stderr.
 */
import { PassThrough, type Duplex, type Readable, type Writable } from 'node:stream'
import { once } from 'node:events'
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { ContainerStreams, RunningCommand, TerminalSize } from '../runtime.ts'
import type { Engine } from './engine.ts'
import { EngineError } from './engine-http.ts'
import { endExec } from './exec.ts'
import { numberedFrames } from './frames.ts'

/** Starts a command in a container. Rejects when it can't be started, in the engine's words. */
export async function openExec(
  engine: Engine,
  id: string,
  command: readonly string[],
  {
    stdin,
    tty,
    size,
  }: { readonly stdin: boolean; readonly tty: boolean; readonly size?: TerminalSize },
  clock: Clock,
): Promise<RunningCommand> {
  const execId = await engine.createExec(id, command, { stdin, tty })
  const socket = await engine.openExec(execId, tty)
  const streams = streamsOf(socket, { stdin, tty })
  const resize = resizer((wanted) => engine.resizeExec(execId, wanted), clock)
  if (size) resize(size)
  const exited = streams.ended.then(async () => {
    const { exitCode } = await engine.inspectExec(execId)
    return exitCode
  })
  return {
    ...streams.program,
    resize,
    exited,
    close() {
      if (socket.destroyed || socket.readableEnded) return
      socket.destroy()
      void endExec(engine, id, execId)
    },
  }
}

/** The streams of a container's own program, from now on; for the first who comes while it waits for input, from its beginning. */
export async function attachTo(
  engine: Engine,
  id: string,
  attached: Set<string>,
  clock: Clock,
): Promise<ContainerStreams> {
  const seen = await engine.inspect(id)
  if (!seen?.running) throw new EngineError(409, 'container is not running')
  const { tty, openStdin: stdin } = seen
  const all = stdin && !attached.has(id)
  attached.add(id)
  const socket = await engine.openAttach(id, { stdin, all })
  return {
    ...streamsOf(socket, { stdin, tty }).program,
    resize: resizer((wanted) => engine.resize(id, wanted), clock),
    close: () => void socket.destroy(),
  }
}

interface Streams {
  readonly program: Pick<ContainerStreams, 'stdin' | 'stdout' | 'stderr'>
  /** All output has been handed over. */
  readonly ended: Promise<void>
}

function streamsOf(
  socket: Duplex,
  { stdin, tty }: { readonly stdin: boolean; readonly tty: boolean },
): Streams {
  socket.on('error', () => socket.destroy())
  const input: { stdin?: Writable } = stdin ? { stdin: socket } : {}
  if (tty) {
    const stdout = new PassThrough()
    socket.pipe(stdout)
    socket.once('close', () => stdout.end())
    return { program: { ...input, stdout }, ended: endOf(stdout) }
  }
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  void separate(socket, stdout, stderr).finally(() => {
    stdout.end()
    stderr.end()
  })
  const ended = Promise.all([endOf(stdout), endOf(stderr)]).then(() => {})
  return { program: { ...input, stdout, stderr }, ended }
}

/** Never rejects: what is no frame ends the output. */
async function separate(socket: Duplex, stdout: PassThrough, stderr: PassThrough): Promise<void> {
  try {
    const chunks: AsyncIterable<Buffer> = socket.iterator({ destroyOnReturn: false })
    for await (const { stream, content } of numberedFrames(chunks)) {
      const output = stream === 2 ? stderr : stdout
      if (!output.destroyed && !output.write(content))
        await Promise.race([once(output, 'drain'), once(output, 'close')])
    }
  } catch {
    socket.destroy()
  }
}

const endOf = (output: Readable): Promise<void> =>
  new Promise((resolve) => {
    output.once('end', resolve).once('close', resolve)
  })

/** A program takes so long to begin; before, it has no terminal whose size could be told. */
const beginLimitMs = 2_000
const beginStepMs = 50

/** The latest size counts; a program that has ended has none. */
function resizer(
  apply: (size: TerminalSize) => Promise<void>,
  clock: Clock,
): (size: TerminalSize) => void {
  let last = Promise.resolve()
  let wanted: TerminalSize | undefined
  return (size) => {
    wanted = size
    last = last.then(async () => {
      const deadline = clock.monotonic() + beginLimitMs
      while (wanted && clock.monotonic() < deadline) {
        const next = wanted
        try {
          await apply(next)
          if (wanted === next) wanted = undefined
        } catch {
          await sleep(clock, beginStepMs)
        }
      }
    })
  }
}

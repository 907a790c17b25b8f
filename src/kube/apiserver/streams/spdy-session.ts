/** Exec and attach over SPDY/3.1, protocol `v4.channel.k8s.io`: one SPDY stream for each of the program's. */
import type { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Clock } from '../../../lib/clock.ts'
import { SpdyConnection } from '../../../lib/spdy/connection.ts'
import type { SpdyStream } from '../../../lib/spdy/stream.ts'
import { closedInOrder } from './connection-end.ts'
import type { ExecRequest } from './exec-request.ts'
import type { TerminalSize } from './pod-streams.ts'
import type { Session } from './session.ts'
import { sizeReader } from './terminal-size.ts'

export const spdyExecProtocols = ['v4.channel.k8s.io']

/** A client opens its streams within this time. */
const openLimitMs = 30_000

/** Resolves when the client has opened every stream it asked for; undefined when it never does. */
export async function spdySession(
  socket: Duplex,
  { stdin, stdout, stderr, tty }: ExecRequest,
  clock: Clock,
): Promise<Session | undefined> {
  const missing = new Set(['error'])
  if (stdin) missing.add('stdin')
  if (stdout) missing.add('stdout')
  if (stderr) missing.add('stderr')
  if (tty) missing.add('resize')
  const streams = new Map<string, SpdyStream>()
  const complete = Promise.withResolvers<boolean>()
  const connection = new SpdyConnection(socket, {
    side: 'server',
    maxStreams: 5,
    onStream(stream) {
      const type = stream.headers.get('streamtype') ?? ''
      if (!missing.delete(type)) return void stream.destroy()
      streams.set(type, stream)
      stream.reply()
      if (missing.size === 0) complete.resolve(true)
    },
  })
  const cancel = clock.after(openLimitMs, () => complete.resolve(false))
  void connection.closed.then(() => complete.resolve(false))
  const ready = await complete.promise
  cancel()
  if (!ready) {
    connection.destroy()
    return undefined
  }

  const gone = new AbortController()
  void connection.closed.then(() => gone.abort())
  const [input, output, errors] = ['stdin', 'stdout', 'stderr'].map((name) => streams.get(name))
  const status = streams.get('error')
  // What a client sends on streams of output is nothing but their end.
  for (const stream of [output, errors, status]) stream?.resume()
  return {
    ...(input && { stdin: input }),
    ...(output && { stdout: output }),
    ...(errors && { stderr: errors }),
    tty,
    onResize: (listener: (size: TerminalSize) => void) => {
      const read = sizeReader(listener)
      streams.get('resize')?.on('data', read)
    },
    gone: gone.signal,
    async finish(ended) {
      status?.end(JSON.stringify(ended))
      await Promise.all(
        [output, errors, status].map(async (stream) => {
          stream?.end()
          if (stream) await finished(stream, { readable: false }).catch(() => {})
        }),
      )
      for (const stream of [status, input]) stream?.destroy()
      connection.close()
      await closedInOrder(socket, clock)
    },
  }
}

/**
 * A watch's response as events: one JSON document a line. An ERROR event is thrown as the
 * StatusError it carries; a clean end, or the caller's own abort, ends the iteration; a broken connection throws
 * ServiceUnavailable, after which the watch may go on from the last resourceVersion.
 */
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { WatchEvent } from '../../api/protocol.ts'
import { StatusError, type Status } from '../../api/status-error.ts'

/** A line longer than this is no object of a sane server. */
const maxLineLength = 32 * 1024 * 1024

export async function* watchEvents(
  stream: Readable,
  server: string,
  signal?: AbortSignal,
): AsyncGenerator<WatchEvent> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  try {
    for await (const chunk of stream) {
      rest += decoder.write(chunk)
      let start = 0
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
        const line = rest.slice(start, end)
        start = end + 1
        if (line.trim()) yield parseEvent(line)
      }
      rest = rest.slice(start)
      if (rest.length > maxLineLength)
        throw new StatusError('InternalError', 'a watch event is longer than 32 MiB')
    }
  } catch (error) {
    if (error instanceof StatusError) throw error
    if (signal?.aborted) return
    const why = error instanceof Error ? error.message : String(error)
    throw new StatusError(
      'ServiceUnavailable',
      `the watch at ${server} broke: ${why}`,
      {},
      { cause: error },
    )
  } finally {
    stream.destroy()
  }
}

function parseEvent(line: string): WatchEvent {
  let event: { type?: string; object?: unknown }
  try {
    event = JSON.parse(line)
  } catch (error) {
    const start = line.slice(0, 100)
    throw new StatusError(
      'InternalError',
      `a watch event is not JSON: ${start}`,
      {},
      { cause: error },
    )
  }
  if (event.type === 'ERROR') {
    const status = event.object as Partial<Status>
    throw StatusError.fromStatus(status, status.code ?? 500)
  }
  return event as WatchEvent
}

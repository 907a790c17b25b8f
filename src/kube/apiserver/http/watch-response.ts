/**
 * A watch as a stream of lines. Headers go out at once; a client that stops reading is let go
 * rather than buffered for: the store ends a watch that is too far behind, the connection one that stands still.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { WatchEvent } from '../../api/protocol.ts'
import { StatusError } from '../../api/status-error.ts'
import { toTable } from '../documents/table.ts'
import { transformed } from './answers.ts'
import type { AnswerOptions } from './answers.ts'

/** A client that takes nothing for this long has gone away. */
const stalledMs = 60_000

/** Writes events until they end or the client leaves. */
export async function sendWatch(
  response: ServerResponse,
  events: AsyncIterable<WatchEvent>,
  options: Omit<AnswerOptions, 'nowMs'> & { readonly clock: Clock },
): Promise<void> {
  response.statusCode = 200
  response.setHeader('Content-Type', 'application/json')
  response.flushHeaders()
  let first = true
  const line = ({ type, object }: WatchEvent): string => {
    const { as } = options.representation
    if (as === 'object') return `{"type":"${type}","object":${plainText(object, options)}}\n`
    const now = { ...options, nowMs: options.clock.now() }
    const body = as === 'Table' ? row(type, object, first, now) : transformed(object, now)
    first = false
    return `${JSON.stringify({ type, object: body })}\n`
  }
  try {
    for await (const event of events) {
      if (!response.write(line(event))) await drained(response, options.clock)
      if (response.destroyed) return
    }
  } catch (thrown) {
    if (response.destroyed) return
    const object = StatusError.from(thrown).toStatus()
    response.write(`${JSON.stringify({ type: 'ERROR', object })}\n`)
  }
  response.end()
}

/** Texts of the last objects sent: many watchers are told of a change one after another. */
const recent = new Map<KubeObject, string>()
const recentCount = 64
const recentLength = 64 * 1024

function plainText(object: KubeObject, options: Omit<AnswerOptions, 'nowMs'>): string {
  const known = recent.get(object)
  if (known !== undefined) return known
  const text = JSON.stringify(transformed(object, { ...options, nowMs: 0 }))
  if (text.length > recentLength || !Object.isFrozen(object)) return text
  const [oldest] = recent.keys()
  if (oldest && recent.size >= recentCount) recent.delete(oldest)
  recent.set(object, text)
  return text
}

/** Only the first table of a watch says what its columns are; a bookmark is a table without rows. */
function row(
  type: WatchEvent['type'],
  object: WatchEvent['object'],
  first: boolean,
  { kind, nowMs, includeObject, representation: { version } }: AnswerOptions,
): unknown {
  const { resourceVersion } = object.metadata
  return toTable(kind, type === 'BOOKMARK' ? [] : [object], {
    nowMs,
    includeObject,
    version,
    withColumns: first,
    listMetadata: resourceVersion === undefined ? {} : { resourceVersion },
  })
}

/** Resolves when there is room again or the connection has ended; ends it itself when nothing moves. */
export function drained(response: ServerResponse, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel()
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    const cancel = clock.after(stalledMs, () => {
      response.destroy()
      done()
    })
    response.once('drain', done)
    response.once('close', done)
    if (response.destroyed) done()
  })
}

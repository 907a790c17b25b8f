/**
 * A long list as it is written: a piece at a time, other requests in between. As one text ten thousand objects would
 * stand in memory three times, and everybody would wait while it is made.
 */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import { isList, itemText } from './answers.ts'
import type { AnswerOptions } from './answers.ts'
import { drained } from './watch-response.ts'

/** Shorter lists go out as one text, with its length. */
const shortList = 200
const pieceLength = 64 * 1024

/** Sends a long list in JSON; false = it is none, or is wanted in another form, and nothing has been sent. */
export async function sendLongList(
  response: ServerResponse,
  body: unknown,
  options: Omit<AnswerOptions, 'nowMs'> & { readonly clock: Clock },
): Promise<boolean> {
  const { kind, representation, clock } = options
  const { as, format, version } = representation
  if (format !== 'json' || as === 'Table' || !isList(body, kind)) return false
  if (body.items.length <= shortList || response.req.method === 'HEAD') return false
  response.statusCode = 200
  response.setHeader('Content-Type', 'application/json')
  const { items, ...list } = body
  const shown =
    as === 'PartialObjectMetadata'
      ? { ...list, kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${version}` }
      : list
  let piece = `${JSON.stringify(shown).slice(0, -1)},"items":[`
  for (const [i, item] of items.entries()) {
    piece += i === 0 ? text(item) : `,${text(item)}`
    if (piece.length < pieceLength) continue
    if (!response.write(piece)) await drained(response, clock)
    else await others()
    if (response.destroyed) return true
    piece = ''
  }
  response.end(`${piece}]}\n`)
  return true

  function text(item: KubeObject): string {
    return itemText(item, { ...options, nowMs: 0 })
  }
}

/** Lets what has come in meanwhile go first. */
const others = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

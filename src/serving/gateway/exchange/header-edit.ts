/**
 * Changes to a head on its way, made once and used for many messages: names whose fields are dropped, and fields put
 * behind the others. Serves both forms of a head: lines of HTTP/1, and HTTP/2's list of names and values.
 */
import { tokenLower, valueByte } from '../../../lib/http1/fields.ts'

export type HeaderField = readonly [name: string, value: string]

export interface HeaderEdit {
  /** Lower-case names; undefined = none. */
  readonly drops: ReadonlySet<string> | undefined
  /** In this order, names in lower case. */
  readonly fields: readonly HeaderField[]
  /** The same for HTTP/1: lines, each with CRLF, names as they were given. */
  readonly lines: string
}

/** Fields that say where a message ends or whom a hop talks to are the gateway's own. */
const untouchable = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * An edit that drops the fields named in `drops`, then adds `fields`; undefined when that is nothing. To replace a
 * field, name it in both. Leaves out what cannot stand in a head and what is the gateway's own (framing, Host), so that
 * no API object can put a line break or a second length into a message.
 */
export function headerEdit(
  fields: Iterable<HeaderField>,
  drops: Iterable<string> = [],
): HeaderEdit | undefined {
  const gone = new Set<string>()
  for (const name of drops) if (!untouchable.has(name.toLowerCase())) gone.add(name.toLowerCase())
  const added: HeaderField[] = []
  let lines = ''
  for (const [name, value] of fields) {
    if (!isField(name, value)) continue
    added.push([name.toLowerCase(), value])
    lines += `${name}: ${value}\r\n`
  }
  if (gone.size === 0 && added.length === 0) return undefined
  return { drops: gone.size > 0 ? gone : undefined, fields: added, lines }
}

/** First `one`, then `other`. */
export function joinEdits(
  one: HeaderEdit | undefined,
  other: HeaderEdit | undefined,
): HeaderEdit | undefined {
  if (one === undefined) return other
  if (other === undefined) return one
  const { drops } = other
  if (drops === undefined)
    return {
      drops: one.drops,
      fields: [...one.fields, ...other.fields],
      lines: one.lines + other.lines,
    }
  const kept = one.fields.filter(([name]) => !drops.has(name))
  return headerEdit([...kept, ...other.fields], [...(one.drops ?? []), ...drops])
}

function isField(name: string, value: string): boolean {
  if (name === '' || untouchable.has(name.toLowerCase())) return false
  for (let i = 0; i < name.length; i++) if (!tokenLower[name.charCodeAt(i)]) return false
  for (let i = 0; i < value.length; i++) if (valueByte[value.charCodeAt(i)] !== 1) return false
  return true
}

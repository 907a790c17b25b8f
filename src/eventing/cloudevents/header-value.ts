/**
 * Attributes as header values (CloudEvents 1.0.2, HTTP binding 3.1.3.2): percent-encoded UTF-8. Senders differ: the Go
 * SDK writes values as they are, so a `%` that begins no escape stays what it is.
 */
import { CloudEventError } from './cloud-event.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** By code: 1 = stands for itself in a header and is written so. Visible ASCII but `"` and `%`. */
const plainCode = new Uint8Array(256).map((_, code) =>
  code > 0x20 && code < 0x7f && code !== 0x22 && code !== 0x25 ? 1 : 0,
)

/** Header text and value are the same, whichever way one goes. */
export function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (plainCode[text.charCodeAt(i)] !== 1) return false
  return true
}

export function encodeHeader(value: string): string {
  if (isPlain(value)) return value
  return value.replaceAll(/[^\x21\x23\x24\x26-\x7E]+/gu, (run) =>
    Array.from(
      encoder.encode(run),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    ).join(''),
  )
}

/**
 * The value that header text stands for. `text` has a character a byte, as HTTP heads have; bytes beyond ASCII are read
 * as UTF-8. Throws CloudEventError when bytes are no UTF-8.
 */
export function decodeHeader(name: string, text: string): string {
  if (/^[\x20-\x21\x23\x24\x26-\x7E]*$/.test(text)) return text
  const whole =
    text.length > 1 && text.startsWith('"') && text.endsWith('"')
      ? text.slice(1, -1).replaceAll(/\\(.)/gs, '$1')
      : text
  const bytes = Buffer.allocUnsafe(whole.length)
  let length = 0
  for (let i = 0; i < whole.length; i++) {
    const escape = whole[i] === '%' ? /^[0-9a-fA-F]{2}/.exec(whole.slice(i + 1, i + 3)) : null
    bytes[length++] = escape ? Number.parseInt(escape[0], 16) : whole.charCodeAt(i) & 0xff
    if (escape) i += 2
  }
  return utf8Of(name, text, bytes.subarray(0, length))
}

/** A content type is no attribute for this coding: its text is what it is, and bytes beyond ASCII are UTF-8. */
export const decodeContentType = (text: string): string =>
  isPrintable(text) ? text : utf8Of('datacontenttype', text, Buffer.from(text, 'latin1'))

/** A character a byte, as heads are written. */
export const encodeContentType = (value: string): string =>
  isPrintable(value) ? value : Buffer.from(value).toString('latin1')

/** Of ASCII, and nothing that controls. */
export function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e) return false
  }
  return true
}

function utf8Of(name: string, text: string, bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new CloudEventError(`${name}: ${JSON.stringify(text.slice(0, 80))} is not UTF-8`)
  }
}

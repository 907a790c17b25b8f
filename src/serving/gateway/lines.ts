/** Lines out of a socket, for both ends of the feed: bounded, and split characters stay whole. */
import type { Duplex } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/** A line longer than this is not a message of ours. */
const maxLineLength = 16 * 1024 * 1024

/** Calls `line` with each line; an error thrown by it, or a line without end, goes to `failed`, and reading is over. */
export function readLines(
  socket: Duplex,
  line: (text: string) => void,
  failed: (error: unknown) => void,
): void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let over = false
  socket.on('data', (bytes: Buffer) => {
    if (over) return
    try {
      const text = decoder.write(bytes)
      let start = 0
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
        const whole = rest + text.slice(start, end)
        rest = ''
        start = end + 1
        if (whole !== '') line(whole)
      }
      rest += text.slice(start)
      if (rest.length > maxLineLength) throw new Error(`line longer than ${maxLineLength}`)
    } catch (error) {
      over = true
      failed(error)
    }
  })
}

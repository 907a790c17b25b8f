/**
 * Answers that are a JSON document a line, to readers who take as long as they like: what they have not taken has a bound
 * for all of them together, beyond which the one that takes nothing is let go, as hundreds of them may wait for events of
 * megabytes.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export class LineWriter {
  readonly #mostChars: number
  #unreadChars = 0

  /** Of all lines that wait for their readers. */
  constructor(mostChars = 64 << 20) {
    this.#mostChars = mostChars
  }

  /** `signal` = who asked is gone, also while it took nothing more. Rejects with an AbortError then. */
  async write(to: Writable, values: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
    for await (const value of values) {
      if (to.destroyed) return
      const line = `${JSON.stringify(value)}\n`
      if (to.write(line)) continue
      const { length } = line
      // Alone it may be as long as an event can be.
      if (this.#unreadChars > 0 && this.#unreadChars + length > this.#mostChars) {
        to.destroy()
        return
      }
      this.#unreadChars += length
      try {
        await once(to, 'drain', { signal })
      } finally {
        this.#unreadChars -= length
      }
    }
    to.end()
  }
}

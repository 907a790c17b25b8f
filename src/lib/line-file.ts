/**
 * Lines for a file descriptor, gathered and written in pieces: writing to a file is synchronous in Node's streams, and
 * a log must not hold up what it is about. Beyond a bound lines are dropped, and their number is told.
 */
import { write } from 'node:fs'
import { promisify } from 'node:util'
import type { Clock } from './clock.ts'

export interface LineFileOptions {
  readonly clock: Clock
  /** Writes the bytes somewhere; resolves when done. */
  readonly write: (bytes: Buffer) => Promise<void>
  /** Lines waiting to be written, in characters; further ones are dropped. */
  readonly capacity?: number
  readonly everyMs?: number
}

const defaultCapacity = 4 * 1024 * 1024
const defaultEveryMs = 100

export class LineFile {
  readonly #options: LineFileOptions
  #waiting = ''
  #dropped = 0
  #scheduled = false
  #writing: Promise<void> = Promise.resolve()

  constructor(options: LineFileOptions) {
    this.#options = options
  }

  /** `line` with its newline. */
  add(line: string): void {
    if (this.#waiting.length + line.length > (this.#options.capacity ?? defaultCapacity)) {
      this.#dropped++
      return
    }
    this.#waiting += line
    if (this.#scheduled) return
    this.#scheduled = true
    this.#options.clock.after(this.#options.everyMs ?? defaultEveryMs, () => {
      this.#scheduled = false
      void this.flush()
    })
  }

  /** Resolves when the lines that were added so far are written, or lost. */
  flush(): Promise<void> {
    return (this.#writing = this.#writing.then(() => this.#write()))
  }

  async #write(): Promise<void> {
    let text = this.#waiting
    this.#waiting = ''
    if (this.#dropped > 0) text += `${this.#dropped} lines were dropped: they came too fast\n`
    this.#dropped = 0
    if (text === '') return
    try {
      await this.#options.write(Buffer.from(text, 'utf8'))
    } catch {
      // A full disk: the lines are lost, what they are about goes on.
    }
  }
}

/** For what is open already, such as standard output: past the stream of the process, which writes to files synchronously. */
export const linesTo = (descriptor: number, clock: Clock): LineFile =>
  new LineFile({
    clock,
    write: (bytes) => promisify(write)(descriptor, bytes).then(() => {}),
  })

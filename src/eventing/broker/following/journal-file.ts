/**
 * The journal on disk: lines of JSON, written now and then, in two files that follow one another, so that it never has
 * more than its bound. It is for people: when the machine can't keep up, steps are left out and counted, and deliveries
 * go on.
 */
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Clock } from '../../../lib/clock.ts'
import { LineFile } from '../../../lib/line-file.ts'
import type { Step } from './journal.ts'

export interface JournalFileOptions {
  readonly path: string
  readonly clock: Clock
  /** Of both files together. Default 64 MiB. */
  readonly maxBytes?: number
}

const defaultMaxBytes = 64 << 20

export class JournalFile {
  readonly #options: JournalFileOptions
  readonly #lines: LineFile
  #size: number | undefined

  constructor(options: JournalFileOptions) {
    this.#options = options
    this.#lines = new LineFile({
      clock: options.clock,
      write: (bytes) => this.#write(bytes).catch(() => {}),
    })
  }

  note(step: Step): void {
    this.#lines.add(`${JSON.stringify(step)}\n`)
  }

  async #write(bytes: Buffer): Promise<void> {
    const { path, maxBytes = defaultMaxBytes } = this.#options
    if (this.#size === undefined) {
      await mkdir(dirname(path), { recursive: true })
      this.#size = await stat(path).then(
        ({ size }) => size,
        () => 0,
      )
    }
    if (this.#size > 0 && this.#size + bytes.length > maxBytes / 2) {
      // While it can't be moved aside steps are left out, or it would grow beyond its bound.
      await rename(path, `${path}.1`).catch((error: unknown) => {
        if (!isMissing(error)) throw error
      })
      this.#size = 0
    }
    const size = this.#size
    // Of what fails on a full disk a part may be written.
    this.#size = undefined
    await appendFile(path, bytes, { mode: 0o600 })
    this.#size = size + bytes.length
  }

  /**
   * Steps that are on disk, the oldest first. With `mentioned`, only lines that begin like a step of one of these places
   * (`placeText`) are read at all, which is much quicker where few are wanted of many.
   */
  async *read(
    wanted: (step: Step) => boolean,
    mentioned?: ReadonlySet<string>,
  ): AsyncGenerator<Step> {
    const { path } = this.#options
    for (const file of [`${path}.1`, path]) {
      const input = createReadStream(file, 'utf8')
      try {
        for await (const line of createInterface({ input, crlfDelay: Infinity })) {
          if (mentioned && !mentioned.has(beginning(line))) continue
          const step = parse(line)
          if (step && wanted(step)) yield step
        }
      } catch (error) {
        if (!isMissing(error)) throw error
      } finally {
        // Also when who reads has enough, or failed.
        input.destroy()
      }
    }
  }

  /** Resolves when what was noted so far can be read. */
  flush(): Promise<void> {
    return this.#lines.flush()
  }
}

/** How a line of this place begins, up to the sequence: steps are written with `channel` and `sequence` first. */
export const placeText = (channel: string, sequence: number): string =>
  JSON.stringify({ channel, sequence }).slice(0, -1)

const beginning = (line: string): string => line.slice(0, line.indexOf(',"subscription"'))

/** A line that a crash cut short is none. */
function parse(line: string): Step | undefined {
  try {
    return JSON.parse(line) as Step
  } catch {
    return undefined
  }
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

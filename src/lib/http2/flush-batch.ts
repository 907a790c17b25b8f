/**
 * Hot path. Gathers what connections want to send during one turn of the event loop, so that each socket is written to once a turn: one
 * system call for all the responses that came in together.
 */
export class FlushBatch {
  #waiting: (() => void)[] = []
  #spare: (() => void)[] = []
  #planned = false

  /** Runs `flush` when the I/O of this turn has been seen. */
  readonly add = (flush: () => void): void => {
    this.#waiting.push(flush)
    if (this.#planned) return
    this.#planned = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#planned = false
    const flushes = this.#waiting
    this.#waiting = this.#spare
    this.#spare = flushes
    for (const flush of flushes) flush()
    flushes.length = 0
  }
}

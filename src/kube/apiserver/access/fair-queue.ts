/**
 * A bounded number of seats, shared fairly by whoever wants them: each user has a line of his own, and the line that had
 * least goes next (start-time fair queueing, as in Kubernetes' API priority and fairness). Within a line the user's
 * programs take turns. A full line is refused at once; nobody waits for ever.
 */
import type { Clock } from '../../../lib/clock.ts'

export interface FairQueueOptions {
  readonly clock: Clock
  readonly seats: number
  /** Seats that one line may have at a time, so that slow readers keep some for the others. */
  readonly lineSeats: number
  /** Waiting in one line. */
  readonly lineCapacity: number
  /** Waiting in all lines. */
  readonly capacity: number
  /** After so long in line one is refused. */
  readonly patienceMs: number
}

/** Gives the seats back; calling it twice is harmless. */
export type Leave = () => void

export type Refusal = 'full' | 'late' | 'gone'

interface Waiter {
  readonly width: number
  readonly resolve: (outcome: Leave | Refusal) => void
  /** Undoes alarm and listener. */
  readonly settle: () => void
}

interface Line {
  /** By program. */
  readonly waiting: Map<string, Waiter[]>
  length: number
  seated: number
  /** Seats had so far, on the clock that all lines share. */
  virtual: number
}

export class FairQueue {
  readonly #options: FairQueueOptions
  readonly #lines = new Map<string, Line>()
  #seated = 0
  #waiting = 0
  #virtual = 0

  constructor(options: FairQueueOptions) {
    this.#options = options
  }

  get seated(): number {
    return this.#seated
  }

  get waiting(): number {
    return this.#waiting
  }

  /** Resolves with a seat, or says why there is none. `width`: seats that the request is worth. */
  enter(
    name: string,
    agent: string,
    width = 1,
    signal?: AbortSignal,
  ): Promise<Leave | Refusal> | Leave | Refusal {
    const { seats, lineSeats, lineCapacity, capacity, patienceMs, clock } = this.#options
    const asked = Math.max(1, Math.min(width, seats, lineSeats))
    const line = this.#line(name)
    if (line.length === 0 && this.#waiting === 0 && this.#fits(line, asked))
      return this.#seat(name, line, asked)
    const full = line.length >= lineCapacity || this.#waiting >= capacity
    if (full || signal?.aborted) {
      this.#forget(name, line)
      return full ? 'full' : 'gone'
    }
    return new Promise((resolve) => {
      const giveUp = (why: Refusal): void => {
        const queue = line.waiting.get(agent)
        const at = queue?.indexOf(waiter) ?? -1
        if (at < 0) return
        queue?.splice(at, 1)
        this.#left(line, agent)
        waiter.settle()
        this.#forget(name, line)
        resolve(why)
        this.#next()
      }
      const gone = () => giveUp('gone')
      const cancel = clock.after(patienceMs, () => giveUp('late'))
      signal?.addEventListener('abort', gone, { once: true })
      const settle = () => {
        cancel()
        signal?.removeEventListener('abort', gone)
      }
      const waiter: Waiter = { width: asked, resolve, settle }
      const queue = line.waiting.get(agent)
      if (queue) queue.push(waiter)
      else line.waiting.set(agent, [waiter])
      line.length++
      this.#waiting++
      this.#next()
    })
  }

  #line(name: string): Line {
    const known = this.#lines.get(name)
    if (known) return known
    // Who comes new has had as much as the one who had least, not nothing: being away saves nothing up.
    const line: Line = { waiting: new Map(), length: 0, seated: 0, virtual: this.#virtual }
    this.#lines.set(name, line)
    return line
  }

  #fits(line: Line, width: number): boolean {
    const { seats, lineSeats } = this.#options
    return this.#seated + width <= seats && line.seated + width <= lineSeats
  }

  #seat(name: string, line: Line, width: number): Leave {
    this.#virtual = Math.max(this.#virtual, line.virtual)
    line.virtual = Math.max(line.virtual, this.#virtual) + width
    line.seated += width
    this.#seated += width
    let seated = true
    return () => {
      if (!seated) return
      seated = false
      // In the next turn of the event loop: work that follows work without a breath would hold up whoever just knocks.
      setImmediate(() => {
        line.seated -= width
        this.#seated -= width
        this.#forget(name, line)
        this.#next()
      })
    }
  }

  /** Seats whoever may sit now. */
  #next(): void {
    while (this.#waiting > 0) {
      let first: { readonly name: string; readonly line: Line; readonly agent: string } | undefined
      for (const [name, line] of this.#lines) {
        if (line.length === 0) continue
        const [agent] = line.waiting.keys()
        const head = agent === undefined ? undefined : line.waiting.get(agent)?.[0]
        // A line that has all it may have lets the others pass.
        if (agent === undefined || !head || line.seated + head.width > this.#options.lineSeats)
          continue
        if (!first || line.virtual < first.line.virtual) first = { name, line, agent }
      }
      if (!first) return
      const { name, line, agent } = first
      const waiter = line.waiting.get(agent)?.[0]
      // The next one waits until there is room for all it needs, or the wide would never get in.
      if (!waiter || !this.#fits(line, waiter.width)) return
      line.waiting.get(agent)?.shift()
      this.#left(line, agent)
      waiter.settle()
      waiter.resolve(this.#seat(name, line, waiter.width))
    }
  }

  /** One has left the line; the program goes behind the user's others. */
  #left(line: Line, agent: string): void {
    const queue = line.waiting.get(agent)
    line.waiting.delete(agent)
    if (queue && queue.length > 0) line.waiting.set(agent, queue)
    line.length--
    this.#waiting--
  }

  #forget(name: string, line: Line): void {
    if (line.length === 0 && line.seated === 0) this.#lines.delete(name)
  }
}

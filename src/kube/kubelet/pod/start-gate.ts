/**
 * Lets only so many programs start at the same moment: a hundred that start together take as long as a hundred one after
 * another, but then the first is ready when the last is. Whoever comes while there is room waits for nothing.
 */
import type { Clock } from '../../../lib/clock.ts'

export interface StartGate {
  /** Starts that are let in and have not come up. */
  readonly starting: number
  /**
   * Resolves, in order of arrival, when a start may begin, or when `signal` aborts. Call the answer once the program is up
   * or gone; calling it again is harmless.
   */
  enter(signal: AbortSignal): Promise<() => void>
}

/** A program that takes longer than this to come up keeps nobody else waiting: it may be waiting itself. */
const longestMs = 1_000

/** `onChange` is told each new number of starts that are let in and have not come up. */
export function createStartGate(
  clock: Clock,
  capacity: number,
  onChange: (starting: number) => void = () => {},
): StartGate {
  let starting = 0
  const waiting = new Set<() => void>()

  const admit = (): (() => void) => {
    onChange(++starting)
    let left = false
    const leave = (): void => {
      if (left) return
      left = true
      cancel()
      onChange(--starting)
      for (const next of waiting) return next()
    }
    const cancel = clock.after(longestMs, leave)
    return leave
  }

  return {
    get starting() {
      return starting
    },
    enter(signal) {
      if (signal.aborted) return Promise.resolve(() => {})
      if (starting < capacity && waiting.size === 0) return Promise.resolve(admit())
      return new Promise((resolve) => {
        const go = (): void => {
          waiting.delete(go)
          signal.removeEventListener('abort', giveUp)
          resolve(admit())
        }
        const giveUp = (): void => {
          waiting.delete(go)
          resolve(() => {})
        }
        waiting.add(go)
        signal.addEventListener('abort', giveUp, { once: true })
      })
    },
  }
}

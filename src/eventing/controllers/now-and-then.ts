/** What controllers look at now and then, as nobody tells them when it changes. */
import type { Clock } from '../../lib/clock.ts'

/**
 * Calls `look` `everyMs` after its last call ended, until disposed, which ends the call under way by its signal and waits
 * for that.
 */
export function nowAndThen(
  clock: Clock,
  everyMs: number,
  look: (signal: AbortSignal) => Promise<void>,
  onFailure: (error: unknown) => void,
): AsyncDisposable {
  const closing = new AbortController()
  const { signal } = closing
  let running: Promise<void> = Promise.resolve()
  let cancel = () => {}
  const later = () => {
    if (signal.aborted) return
    cancel = clock.after(everyMs, () => {
      running = look(signal)
        .catch((error: unknown) => signal.aborted || onFailure(error))
        .then(later)
    })
  }
  later()
  return {
    async [Symbol.asyncDispose]() {
      closing.abort()
      cancel()
      await running
    },
  }
}

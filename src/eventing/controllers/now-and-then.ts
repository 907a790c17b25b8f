/** What controllers look at now and then, as nobody tells them when it changes. */
import type { Clock } from '../../lib/clock.ts'

/** Calls `look` `everyMs` after its last call ended, until disposed, which waits for its end. */
export function nowAndThen(
  clock: Clock,
  everyMs: number,
  look: () => Promise<void>,
  onFailure: (error: unknown) => void,
): AsyncDisposable {
  let closed = false
  let running: Promise<void> = Promise.resolve()
  let cancel = () => {}
  const later = () => {
    if (closed) return
    cancel = clock.after(everyMs, () => {
      running = look().catch(onFailure).finally(later)
    })
  }
  later()
  return {
    async [Symbol.asyncDispose]() {
      closed = true
      cancel()
      await running
    },
  }
}

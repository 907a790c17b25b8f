/** What controllers ask the event engine now and then, by its back door (`broker/control.ts`). */
import { request } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'

/** What `GET path` answers. Rejects when no engine runs, and with what it refuses. */
export const askEngine = <T>(socketPath: string, path: string): Promise<T> =>
  new Promise((resolve, reject) => {
    const asking = request({ socketPath, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(JSON.parse(text) as T)
          : reject(new Error(`GET ${path}: ${response.statusCode}`)),
      )
    })
    asking.on('error', reject)
    asking.end()
  })

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

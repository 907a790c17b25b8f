/** Which headers of a message go on with its event (Knative eventing, `utils.PassThroughHeaders`), and one that can not. */
import type { Headers } from '../cloudevents/http-binding.ts'

const names = new Set(['x-request-id', 'retry-after'])
const prefixes = ['knative-', 'x-b3-']

const none: Headers = []

/** Names are lower case. */
export function passThrough(headers: Headers): Headers {
  for (const header of headers) if (passes(header)) return headers.filter(passes)
  return none
}

const [x, r, k] = ['x', 'r', 'k'].map((letter) => letter.charCodeAt(0))

function passes([name]: Headers[number]): boolean {
  const first = name.charCodeAt(0)
  if (first !== x && first !== r && first !== k) return false
  return names.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}

/**
 * A coding of the body that changes it, as gzip; undefined = there is none. The header does not go on, so nobody would
 * be told.
 */
export function codingOf(headers: Headers): string | undefined {
  for (const [name, value] of headers) {
    if (name !== 'content-encoding') continue
    const coding = value.trim()
    if (coding !== '' && coding.toLowerCase() !== 'identity') return coding.slice(0, 80)
  }
  return undefined
}

/** Which headers of a message go on with its event (Knative eventing, `utils.PassThroughHeaders`). */
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

/** Which headers of a message go on with its event (Knative eventing, `utils.PassThroughHeaders`). */
import type { Headers } from '../cloudevents/http-binding.ts'

const names = new Set(['x-request-id', 'retry-after'])
const prefixes = ['knative-', 'x-b3-']

/** Names are lower case. */
export const passThrough = (headers: Headers): Headers =>
  headers.filter(([name]) => names.has(name) || prefixes.some((prefix) => name.startsWith(prefix)))

/**
 * How often an event has come round: Brokers count by `knativebrokerttl`, which ends where a channel or a subscriber is
 * in between. So what goes from one address of the engine to another carries a header that counts, and a circle of
 * channels, Brokers and answers ends as a circle of Triggers does. A program in between begins anew: it decides itself.
 */
import type { Headers, Message } from '../cloudevents/http-binding.ts'

/** One of those that go on with their event (`headers.ts`). */
const header = 'knative-ebb-hops'

/** As many as a Broker allows. */
export const mostHops = 255

export function hopsOf(headers: Headers): number {
  for (const [name, value] of headers) if (name === header) return Number(value) || 0
  return 0
}

/** The message with one more than its event came with. */
export const withHop = ({ headers, body }: Message, passed: Headers): Message => ({
  headers: [...headers.filter(([name]) => name !== header), [header, String(hopsOf(passed) + 1)]],
  body,
})

/** In lower case, without port; '' for what is no URL of HTTP. */
export const hostOfUrl = (url: string): string =>
  /^https?:\/\/([^/:?#]+)/i.exec(url)?.[1]?.toLowerCase() ?? ''

/**
 * Those who take events while the engine is killed, and what they remember. Three Triggers: `plain` answers some events
 * with another event, `ordered` takes one at a time for each key and has no dead-letter sink, `replies` takes the answers
 * of the first. They refuse, say no for good, hang up before and after they have taken an event, each by chance.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SubscriptionConfig } from '../../src/eventing/broker/feed.ts'
import type { Random } from '../../src/lib/random.ts'

export interface Subscribers extends Disposable {
  readonly subscriptions: readonly SubscriptionConfig[]
  /** How often who took which event: `plain e1`. */
  readonly taken: ReadonlyMap<string, number>
  /** What the dead-letter sink took for whom. */
  readonly buried: ReadonlySet<string>
  /** Dead letters that came without their reason. */
  readonly unexplained: ReadonlySet<string>
  /** Ids of events that `plain` answered last with another. */
  readonly answered: ReadonlySet<string>
  /** From now on everybody takes everything at once. */
  behave(): void
}

/** The id of what `plain` answers to an event. */
export const answerTo = (id: string): string => `answer-${id}`

type Answer = number | 'hang up' | { readonly event: string }

export async function subscribers(random: Random): Promise<Subscribers> {
  const taken = new Map<string, number>()
  const buried = new Set<string>()
  const unexplained = new Set<string>()
  const answered = new Set<string>()
  let wellBehaved = false
  const subscriber = await listen((name, id) => {
    // Asked again: what it said before was not heard, and what it says now counts, be it that it refuses.
    if (name === 'plain') answered.delete(id)
    const mood = wellBehaved ? 1 : random.next()
    if (mood < 0.05) return 500
    if (mood < 0.08) return 400 // final: on to the dead-letter sink
    if (mood < 0.1) return 'hang up'
    const key = `${name} ${id}`
    taken.set(key, (taken.get(key) ?? 0) + 1)
    if (mood < 0.15) return 'hang up'
    if (name !== 'plain' || random.next() > 0.25) return 200
    answered.add(id)
    return { event: answerTo(id) }
  })
  const sink = await listen((name, id, { headers }) => {
    if (!wellBehaved && random.next() < 0.2) return 503
    const key = `${name} ${id}`
    buried.add(key)
    if (headers['ce-knativeerrordest'] === undefined) unexplained.add(key)
    return 202
  })
  const trigger = (name: string, type: string): SubscriptionConfig => ({
    uid: name,
    kind: 'Trigger',
    namespace: 'default',
    name,
    filter: { filters: [{ exact: { type } }] },
    subscriber: { url: `${urlOf(subscriber)}${name}` },
    reply: 'channel',
    delivery: { retry: 8, backoff: { policy: 'exponential', delayMs: 5 }, timeoutMs: 2000 },
  })
  const deadLetter = (name: string) => ({ deadLetter: { url: `${urlOf(sink)}${name}` } })
  return {
    subscriptions: [
      { ...trigger('plain', 'test'), ...deadLetter('plain') },
      { ...trigger('ordered', 'test'), order: 'ordered' },
      { ...trigger('replies', 'answer'), ...deadLetter('replies') },
    ],
    taken,
    buried,
    unexplained,
    answered,
    behave: () => void (wellBehaved = true),
    [Symbol.dispose]() {
      for (const server of [subscriber, sink]) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

function listen(
  handle: (name: string, id: string, incoming: IncomingMessage) => Answer,
): Promise<Server> {
  const server = createServer((incoming, response) => {
    incoming.resume()
    incoming.on('end', () => {
      const name = (incoming.url ?? '').slice(1)
      const answer = handle(name, String(incoming.headers['ce-id']), incoming)
      if (answer === 'hang up') incoming.socket.destroy()
      else if (typeof answer === 'number') response.writeHead(answer).end()
      else
        response
          .writeHead(200, {
            'ce-specversion': '1.0',
            'ce-id': answer.event,
            'ce-source': '/crash',
            'ce-type': 'answer',
          })
          .end()
    })
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const urlOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

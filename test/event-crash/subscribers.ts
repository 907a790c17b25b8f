/**
 * Those who take events while the engine is killed, and what they remember. Of a Broker: `plain` answers some events with
 * another event, `ordered` takes one at a time for each key and has no dead-letter sink, `replies` takes the answers.
 * Of a Channel: `sub` answers some too, and its answers go to the Broker. More Triggers come while it runs. They refuse,
 * say no for good, answer garbage or nothing at all, hang up before and after they have taken an event, each by chance.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SubscriptionConfig } from '../../src/eventing/broker/feed.ts'
import type { Random } from '../../src/lib/random.ts'

export interface Subscribers extends Disposable {
  /** Of the Broker. */
  readonly triggers: readonly SubscriptionConfig[]
  /** Of the Channel; `reply` = where its answers go. */
  subscriptions(reply: string): readonly SubscriptionConfig[]
  /** Another Trigger that takes what `plain` takes. */
  more(name: string): SubscriptionConfig
  /** How often who took which event: `plain e1`. */
  readonly taken: ReadonlyMap<string, number>
  /** What the dead-letter sink took for whom. */
  readonly buried: ReadonlySet<string>
  /** Dead letters that came without their reason. */
  readonly unexplained: ReadonlySet<string>
  /** What `ordered` was sent after a later event of its key. */
  readonly disordered: ReadonlySet<string>
  /** What came with other data than it was sent with. */
  readonly altered: ReadonlySet<string>
  /** What was answered last with another event: `plain e1`. */
  readonly answered: ReadonlySet<string>
  /** Resolves when nothing of an engine that was killed is under way any more. */
  forgetEngine(): Promise<void>
  /** From now on everybody takes everything at once. */
  behave(): void
}

/** The id of what is answered to an event. */
export const answerTo = (id: string): string => `answer-${id}`

/** The data of an event: whoever has it can tell whether it is as it was. */
export const dataOf = (id: string, size: number): string => `${id} ${size} ${'x'.repeat(size)}`

function isAsSent(id: string, data: string): boolean {
  const size = Number(data.split(' ')[1])
  return Number.isInteger(size) && data === dataOf(id, size)
}

type Answer = number | 'hang up' | 'garbage' | 'silent' | { readonly event: string }

interface Heard {
  readonly name: string
  readonly id: string
  readonly headers: IncomingMessage['headers']
  readonly data: string
}

export async function subscribers(random: Random): Promise<Subscribers> {
  const taken = new Map<string, number>()
  const buried = new Set<string>()
  const unexplained = new Set<string>()
  const disordered = new Set<string>()
  const altered = new Set<string>()
  const answered = new Set<string>()
  /** The number of the last event that this engine sent `ordered`, by key. */
  const lastOfKey = new Map<string, number>()
  let wellBehaved = false
  const subscriber = await listen(({ name, id, headers, data }) => {
    const key = `${name} ${id}`
    if (!isAsSent(id, data)) altered.add(key)
    if (name === 'ordered') {
      const partition = String(headers['ce-partitionkey'])
      const number = Number(id.slice(1))
      if (number < (lastOfKey.get(partition) ?? 0)) disordered.add(key)
      lastOfKey.set(partition, number)
    }
    // Asked again: what it said before was not heard, and what it says now counts, be it that it refuses.
    answered.delete(key)
    const mood = wellBehaved ? 1 : random.next()
    if (mood < 0.05) return 500
    if (mood < 0.08) return 400 // final: on to the dead-letter sink
    if (mood < 0.1) return 'hang up'
    if (mood < 0.11) return 'garbage'
    if (mood < 0.115) return 'silent'
    taken.set(key, (taken.get(key) ?? 0) + 1)
    if (mood < 0.15) return 'hang up'
    if ((name !== 'plain' && name !== 'sub') || random.next() > 0.25) return 200
    answered.add(key)
    return { event: answerTo(id) }
  })
  const sink = await listen(({ name, id, headers, data }) => {
    const mood = wellBehaved ? 1 : random.next()
    if (mood < 0.2) return 503
    // For good: then the engine keeps it.
    if (mood < 0.25) return 400
    const key = `${name} ${id}`
    if (!isAsSent(id, data)) altered.add(key)
    buried.add(key)
    if (headers['ce-knativeerrordest'] === undefined) unexplained.add(key)
    return 202
  })
  const trigger = (name: string, type: string, timeoutMs = 500): SubscriptionConfig => ({
    uid: name,
    kind: 'Trigger',
    namespace: 'default',
    name,
    filter: { filters: [{ exact: { type } }] },
    subscriber: { url: `${urlOf(subscriber)}${name}` },
    reply: 'channel',
    delivery: { retry: 8, backoff: { policy: 'exponential', delayMs: 5 }, timeoutMs },
  })
  const deadLetter = (name: string) => ({ deadLetter: { url: `${urlOf(sink)}${name}` } })
  return {
    triggers: [
      { ...trigger('plain', 'test'), ...deadLetter('plain') },
      // Long: what is given up while this process is slow would be heard after what follows it.
      { ...trigger('ordered', 'test', 5000), order: 'ordered' },
      { ...trigger('replies', 'answer'), ...deadLetter('replies') },
    ],
    subscriptions: (reply) => [
      {
        ...trigger('sub', 'test'),
        ...deadLetter('sub'),
        kind: 'Subscription',
        filter: {},
        reply: { url: reply },
      },
    ],
    more: (name) => ({ ...trigger(name, 'test'), ...deadLetter(name) }),
    taken,
    buried,
    unexplained,
    disordered,
    altered,
    answered,
    async forgetEngine() {
      const open = async () => (await connectionsOf(subscriber)) + (await connectionsOf(sink))
      while ((await open()) > 0) await sleep(1)
      lastOfKey.clear()
    },
    behave: () => void (wellBehaved = true),
    [Symbol.dispose]() {
      for (const server of [subscriber, sink]) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

const connectionsOf = (server: Server): Promise<number> =>
  new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

function listen(handle: (heard: Heard) => Answer): Promise<Server> {
  const server = createServer((incoming, response) => {
    let data = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => (data += chunk))
    incoming.on('error', () => {})
    incoming.on('end', () => {
      const { url = '', headers } = incoming
      const answer = handle({ name: url.slice(1), id: String(headers['ce-id']), headers, data })
      if (answer === 'silent') return
      if (answer === 'hang up') incoming.socket.destroy()
      else if (answer === 'garbage')
        incoming.socket.end('HTTP/1.1 2 OK\r\ncontent-length: -5\r\n\r\n')
      else if (typeof answer === 'number') response.writeHead(answer).end()
      else
        response
          .writeHead(200, {
            'ce-specversion': '1.0',
            'ce-id': answer.event,
            'ce-source': '/crash',
            'ce-type': 'answer',
            'content-type': 'text/plain',
          })
          .end(dataOf(answer.event, 9))
    })
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const urlOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

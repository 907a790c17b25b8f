/** containerConcurrency is hard, whatever happens: requests, clients that leave, pods that come, go, come back and refuse, in any order. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { randomInt, seededRandom } from '../../lib/random.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { type Claimant, Revision } from './admission/activator.ts'
import { QueueBudget, type WaitQueue, type Waiter } from './admission/breaker.ts'
import { Deadlines } from './exchange/deadlines.ts'
import { Drains } from './admission/drain.ts'
import type { Backend } from './feed.ts'
import {
  type App,
  type AppRequest,
  Fixture,
  get,
  revisionDefaults,
  startApp,
} from './gateway.fixture.ts'
import { RevisionMetrics } from './observability/metrics.ts'
import { addressOf, type Pod } from './pod/pod.ts'
import { Stats } from './admission/stats.ts'

const queueCapacity = 12

class Request implements Claimant {
  queue: WaitQueue | undefined
  ahead: Waiter | undefined
  behind: Waiter | undefined
  readonly order: number
  pod: Pod | undefined
  refusals = 0
  gone = false
  readonly #onGrant: (request: Request) => void

  constructor(order: number, onGrant: (request: Request) => void) {
    this.order = order
    this.#onGrant = onGrant
  }

  granted(pod: Pod): void {
    this.pod = pod
    this.#onGrant(this)
  }

  revisionGone(): void {
    this.gone = true
  }
}

/** One life of a revision: a few hundred random events. Answers how many requests were served. */
async function live(seed: number): Promise<number> {
  const random = seededRandom(seed)
  const limit = 1 + randomInt(random, 6)
  const clock = new SimClock()
  const revision = new Revision(
    { ...revisionDefaults, containerConcurrency: limit },
    {
      clock,
      random,
      deadlines: new Deadlines(clock),
      stats: new Stats(),
      budget: new QueueBudget(1000),
      queueCapacity,
      drains: new Drains(),
      metrics: (target) => new RevisionMetrics(target),
      wake: () => {},
    },
  )
  /** Requests at each pod, counted here and nowhere else. */
  const at = new Map<string, number>()
  const serving: Request[] = []
  let waiting: Request[] = []
  let backends: Backend[] = []
  let names = 0
  let served = 0
  let arrivals = 0

  const enter = (request: Request): void => {
    const { pod } = request
    assert.ok(pod)
    const key = `${pod.name} ${addressOf(pod.host, pod.port)}`
    const count = (at.get(key) ?? 0) + 1
    assert.ok(count <= limit, `${count} requests at ${key}, ${limit} allowed`)
    assert.ok(
      backends.some(({ pod: name }) => name === pod.name),
      `${key} is not in the feed any more`,
    )
    at.set(key, count)
    serving.push(request)
  }
  const onGrant = (request: Request): void => {
    // First come, first served: only who was refused has gone back to the front.
    const earlier = waiting.find(({ order }) => order < request.order)
    assert.ok(
      earlier === undefined || request.refusals > 0,
      `${request.order} was served before ${earlier?.order}`,
    )
    waiting = waiting.filter((one) => one !== request)
    enter(request)
  }
  const leave = (request: Request): Pod => {
    const pod = request.pod!
    const key = `${pod.name} ${addressOf(pod.host, pod.port)}`
    at.set(key, at.get(key)! - 1)
    serving.splice(serving.indexOf(request), 1)
    return pod
  }
  const tell = (): void => {
    revision.update({ ...revisionDefaults, containerConcurrency: limit, backends })
  }

  for (let step = 0; step < 300; step++) {
    const kind = random.next()
    if (kind < 0.45) {
      const request = new Request(arrivals++, onGrant)
      const full = waiting.length >= queueCapacity
      const answer = revision.acquire(request)
      if (answer === 'full') assert.ok(full, `${waiting.length} wait, and that was too many`)
      else if (answer) {
        request.pod = answer
        assert.equal(waiting.length, 0, 'somebody was overtaken')
        enter(request)
      } else waiting.push(request)
      assert.ok(waiting.length <= queueCapacity)
    } else if (kind < 0.75 && serving.length > 0) {
      served++
      revision.release(leave(serving[randomInt(random, serving.length)]!))
    } else if (kind < 0.8 && waiting.length > 0) {
      const [gone] = waiting.splice(randomInt(random, waiting.length), 1)
      gone!.queue?.remove(gone!)
    } else if (kind < 0.86 && serving.length > 0 && waiting.length < queueCapacity) {
      const refused = serving[randomInt(random, serving.length)]!
      refused.refusals++
      const pod = leave(refused)
      refused.pod = undefined
      waiting.unshift(refused)
      revision.refused(refused, pod)
    } else if (kind < 0.92) {
      const number = names++
      backends = [...backends, { host: `10.0.0.${number % 200}`, port: 8080, pod: `pod-${number}` }]
      tell()
    } else if (kind < 0.97 && backends.length > 0) {
      const index = randomInt(random, backends.length)
      const gone = backends[index]!
      backends = backends.toSpliced(index, 1)
      tell()
      // Some are only missed for a moment.
      if (random.next() < 0.5) {
        backends = [...backends, gone]
        tell()
      }
    } else await clock.advance(randomInt(random, 600))
    assert.equal(revision.queue.size, waiting.length)
  }
  // In the end there is a good pod, and everybody is served.
  backends = [...backends, { host: '10.0.1.1', port: 8080, pod: 'last' }]
  tell()
  await clock.advance(2000)
  while (serving.length > 0) {
    served++
    revision.release(leave(serving[0]!))
  }
  assert.equal(waiting.length, 0)
  assert.equal(revision.queue.size, 0)
  return served
}

describe('containerConcurrency', { timeout: 60_000 }, () => {
  test('holds at every pod through random lives of a revision, first come first served', async () => {
    let served = 0
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        served += await live(seed)
      }),
      { numRuns: 60 },
    )
    assert.ok(served > 1000, `only ${served} requests were served`)
  })

  test('holds with real connections while pods come and go, and nobody is lost', async () => {
    const limit = 2
    let most = 0
    const apps: App[] = []
    const start = async (): Promise<App> => {
      let now = 0
      const app = await startApp(async ({ answer }: AppRequest) => {
        most = Math.max(most, ++now)
        await settle(5)
        now--
        answer('done')
      })
      apps.push(app)
      return app
    }
    await using fixture = await Fixture.start({ revision: { containerConcurrency: limit } })
    const tell = (of: readonly App[]): void =>
      fixture.revision({
        containerConcurrency: limit,
        backends: of.map(({ backend }) => ({ ...backend, pod: `pod-${backend.port}` })),
      })
    const requests = Array.from({ length: 400 }, async (_, i) => {
      await settle(i)
      return fixture.request(get('/', i % 4 === 0 ? 'Connection: close\r\n' : ''))
    })
    for (let round = 0; round < 8; round++) {
      await start()
      tell(apps.slice(-1 - (round % 3)))
      await settle(30)
    }
    const answers = await Promise.all(requests)
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.ok(most <= limit && most > 0, `${most} at once`)
    for (const app of apps) await app[Symbol.asyncDispose]()
  })
})

test('beyond the queue: 503 with Retry-After, for either protocol and for bodies under way', async () => {
  await using fixture = await Fixture.start({ limits: { queuePerRevision: 1 } })
  const held = await fixture.client()
  held.send(get())
  await fixture.message(({ type }) => type === 'wake')
  const post = get()
    .replace('GET', 'POST')
    .replace('\r\n\r\n', '\r\nContent-Length: 100\r\n\r\nabc')
  for (const text of [get(), post]) {
    const { status, body, headers } = await fixture.request(text)
    assert.deepEqual([status, body], [503, 'pending request queue full'])
    assert.match(headers.get('retry-after') ?? '', /^\d+$/)
  }
  held.socket.destroy()
})

/**
 * Kills a whole platform piece by piece while events come in: event engine, gateway, control plane, in an order drawn
 * from a seed. A Broker with a Trigger, a Channel whose Subscription answers into the Broker, and a Sequence of two
 * steps: each event that was acknowledged has gone all of its way in the end. Triggers come and go meanwhile.
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../src/lib/random.ts'
import { processesMentioning, request, startEbb, until, type Ebb } from '../e2e/platform.ts'

export interface PlatformTally {
  readonly kills: Readonly<Record<string, number>>
  readonly acknowledged: number
  readonly duplicates: number
  /** By path and id. Must be empty. */
  readonly lost: readonly string[]
}

const brokerHost = 'broker-ingress.knative-eventing.svc.cluster.local'
const destinations = [
  { host: brokerHost, path: '/default/b', ends: ['/all'] },
  { host: 'c-kn-channel.default.svc.cluster.local', path: '/', ends: ['/sub', '/answers'] },
  {
    host: 's-kn-sequence-0-kn-channel.default.svc.cluster.local',
    path: '/',
    ends: ['/step1', '/step2', '/answers'],
  },
] as const
const readyKinds =
  'broker/b,trigger/all,trigger/answers,inmemorychannel/c,subscription/sub,sequence/s'

const objects = (url: string) => `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b, annotations: {ebb.dev/retention-size: 1Mi}}
spec: {delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.2S}}
---
${trigger('all', 'test', `${url}/all`)}
---
${trigger('answers', 'answer', `${url}/answers`)}
---
apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: c}
spec: {delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.2S}}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: sub}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: c}
  subscriber: {uri: ${url}/sub}
  reply: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b}}
  delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.2S}
---
apiVersion: flows.knative.dev/v1
kind: Sequence
metadata: {name: s}
spec:
  channelTemplate: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel}
  steps:
  - {uri: ${url}/step1, delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.2S}}
  - {uri: ${url}/step2, delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.2S}}
  reply: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b}}
`

const trigger = (name: string, type: string, url: string) => `
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: ${name}}
spec:
  broker: b
  filter: {attributes: {type: ${type}}}
  subscriber: {uri: ${url}}`

/** Takes everything, now and then at the second time; answers what is to go on. */
function subscriber(random: Random, taken: Map<string, number>): Promise<Server> {
  const server = createServer((incoming, response) => {
    incoming.resume()
    incoming.on('end', () => {
      const { url = '' } = incoming
      if (random.next() < 0.1) return void response.writeHead(503).end()
      const id = String(incoming.headers['ce-id'])
      taken.set(`${url} ${id}`, (taken.get(`${url} ${id}`) ?? 0) + 1)
      if (!['/sub', '/step1', '/step2'].includes(url)) return void response.writeHead(202).end()
      response.writeHead(200, event(id, url === '/step1' ? 'test' : 'answer')).end()
    })
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const event = (id: string, type: string) => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-type': type,
  'ce-source': '/crash',
})

export async function crashPlatform({
  kills,
  random,
}: {
  readonly kills: number
  readonly random: Random
}): Promise<PlatformTally> {
  const taken = new Map<string, number>()
  const server = await subscriber(random, taken)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await using ebb = await startEbb()
  try {
    await ebb.ok('apply', '-f', await ebb.file('objects.yaml', objects(url)))
    const passing = await ebb.file('passing.yaml', trigger('passing', 'test', `${url}/passing`))
    await ebb.ok('wait', '--for=condition=Ready', ...readyKinds.split(','), '--timeout=60s')
    const wanted: string[] = []
    let acknowledged = 0
    let sent = 0
    let over = false
    const senders = Array.from({ length: 4 }, async () => {
      while (!over) {
        const id = `e${++sent}`
        const to = destinations[Math.floor(random.next() * destinations.length)] ?? destinations[0]
        const { host, path, ends } = to
        const posted = { path, method: 'POST', headers: event(id, 'test'), timeoutMs: 5000 }
        const status = await request(ebb.local, host, posted).then(
          (answer) => answer.status,
          () => 0,
        )
        if (status !== 202) {
          await sleep(10)
          continue
        }
        acknowledged++
        wanted.push(...ends.map((end) => `${end} ${id}`))
      }
    })
    const killed: Record<string, number> = { 'event engine': 0, gateway: 0, 'control plane': 0 }
    const more = (count: number) => {
      const enough = acknowledged + count
      return until(`${enough} are acknowledged`, () => acknowledged >= enough, 60_000)
    }
    for (let kill = 0; kill < kills; kill++) {
      await more(20)
      const changing = ebb.kubectl(random.next() < 0.5 ? 'apply' : 'delete', '-f', passing)
      await sleep(random.next() * 200)
      const what = (['event engine', 'gateway', 'control plane'] as const)[
        Math.floor(random.next() * 3)
      ]
      if (what === 'event engine') killAll(ebb, 'broker/main')
      else if (what === 'gateway') killAll(ebb, 'gateway/main')
      else {
        await ebb.kill()
        // Sometimes the engine too, while nobody starts it again.
        if (random.next() < 0.5) killAll(ebb, 'broker/main')
        await ebb.restart()
      }
      killed[what ?? ''] = (killed[what ?? ''] ?? 0) + 1
      await changing
    }
    await more(20)
    over = true
    await Promise.all(senders)
    const lost = () => wanted.filter((key) => !taken.has(key))
    await until('all have gone their way', () => lost().length === 0, 60_000).catch(() => {})
    const duplicates = [...taken.values()].reduce((sum, times) => sum + times - 1, 0)
    return { kills: killed, acknowledged, duplicates, lost: lost() }
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

function killAll({ dataDir }: Ebb, entry: string): void {
  for (const pid of processesMentioning(dataDir))
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(entry)) process.kill(pid, 'SIGKILL')
}

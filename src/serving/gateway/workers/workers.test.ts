/** Real threads behind one address: what must hold over all of them. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import type { FromGateway, RevisionTarget } from '../feed.ts'
import type { Gateway } from '../gateway.ts'
import {
  type App,
  Client,
  get,
  host,
  revisionDefaults,
  signal,
  startApp,
  type AppRequest,
} from '../gateway.fixture.ts'
import { startWorkers, threadFor } from './workers.ts'

const loopback = { host: '127.0.0.1', port: 0 }
const threads: Worker[] = []
const messages: FromGateway[] = []
let gateway: Gateway
let version = 0

/** Resolves with the first message from now on that passes. */
function next<T extends FromGateway>(test: (message: FromGateway) => message is T): Promise<T> {
  const { promise, resolve } = signal<T>()
  listeners.push((message) => {
    if (test(message)) resolve(message)
  })
  return promise
}
const listeners: ((message: FromGateway) => void)[] = []

const acknowledged = (wanted: number) =>
  next(
    (message): message is Extract<FromGateway, { type: 'ack' }> =>
      message.type === 'ack' && message.version === wanted,
  )

async function inform(targets: readonly Partial<RevisionTarget>[]): Promise<void> {
  const synced = acknowledged(++version)
  gateway.receive({ type: 'reset' })
  const splits = targets.map(({ key = 'ns/rev' }, at) => ({
    revision: key,
    percent: targets.length === 1 ? 100 : [70, 30][at]!,
  }))
  gateway.receive({
    type: 'ingress',
    ingress: {
      key: 'ns/app',
      hash: 'cafe',
      rules: [{ hosts: [host], visibility: 'ExternalIP', paths: [{ splits }] }],
    },
  })
  for (const target of targets)
    gateway.receive({ type: 'revision', revision: { ...revisionDefaults, ...target } })
  gateway.receive({ type: 'sync', version })
  await synced
}

/** Connections until each worker has one: the kernel spreads them. */
const clients = (count: number): Promise<Client[]> =>
  Promise.all(Array.from({ length: count }, () => Client.open(gateway.http.port)))

describe('two workers', () => {
  before(async () => {
    gateway = await startWorkers({
      clock: systemClock,
      log: silent,
      logLevel: 'error',
      workers: 2,
      http: loopback,
      local: loopback,
      admin: loopback,
      thread: (data) => {
        const thread = threadFor(data)
        threads.push(thread)
        return thread
      },
    })
    gateway.listen((message) => {
      messages.push(message)
      for (const listener of listeners) listener(message)
    })
  })
  after(() => gateway.stop(0))

  test('a pod never has more requests than containerConcurrency, and everybody is served', async () => {
    let most = 0
    const at = new Map<App, number>()
    const limited = () =>
      startApp(({ answer, socket }: AppRequest) => {
        const app = apps.find(({ sockets }) => sockets.has(socket))!
        const now = (at.get(app) ?? 0) + 1
        at.set(app, now)
        most = Math.max(most, now)
        setImmediate(() => {
          at.set(app, at.get(app)! - 1)
          answer('ok')
        })
      })
    const apps: App[] = [await limited(), await limited()]
    const backends = apps.map(({ backend }, i) => ({ ...backend, pod: `pod-${i}` }))
    await inform([{ backends, containerConcurrency: 1 }])
    const open = await clients(24)
    const statuses = await Promise.all(
      open.map(async (client) => {
        const seen: number[] = []
        for (let i = 0; i < 25; i++) seen.push((await client.send(get()).response()).status)
        client.socket.destroy()
        return seen
      }),
    )
    assert.ok(statuses.flat().every((status) => status === 200))
    assert.equal(statuses.flat().length, 600)
    assert.equal(most, 1)
    await Promise.all(apps.map((app) => app[Symbol.asyncDispose]()))
  })

  test('one sequence of a traffic split', async () => {
    const counts = [0, 0]
    const apps = await Promise.all(
      [0, 1].map((i) => startApp(({ answer }) => (counts[i]!++, answer('ok')))),
    )
    await inform(apps.map(({ backend }, i) => ({ key: `ns/split-${i}`, backends: [backend] })))
    // Few on each connection, so that no worker has a whole sequence.
    const open = await clients(67)
    await Promise.all(
      open.map(async (client) => {
        for (let i = 0; i < 3; i++) await client.send(get()).response()
        client.socket.destroy()
      }),
    )
    assert.ok(Math.abs(counts[0]! - 201 * 0.7) <= 1, `${counts.join(' to ')}`)
    await Promise.all(apps.map((app) => app[Symbol.asyncDispose]()))
  })

  test('a drain waits for requests at any worker; statistics are sums', async () => {
    const held: AppRequest[] = []
    const all = signal()
    await using app = await startApp((request) => {
      held.push(request)
      if (held.length === 12) all.resolve()
    })
    await inform([{ key: 'ns/held', backends: [app.backend] }])
    const open = await clients(12)
    const answers = Promise.all(open.map((client) => client.send(get()).response()))
    await all.promise
    await next(
      (message): message is Extract<FromGateway, { type: 'stats' }> =>
        message.type === 'stats' &&
        message.stats.some(
          ({ revision, concurrency }) => revision === 'ns/held' && concurrency > 11.9,
        ),
    )
    const drained = next(
      (message): message is Extract<FromGateway, { type: 'drained' }> =>
        message.type === 'drained' && message.id === 7,
    )
    gateway.receive({ type: 'drain', id: 7, host: app.backend.host, port: app.backend.port })
    for (const { answer } of held.slice(1)) answer('ok')
    assert.ok(!messages.some((message) => message.type === 'drained'))
    held[0]!.answer('ok')
    await drained
    assert.ok((await answers).every(({ status }) => status === 200))
    for (const client of open) client.socket.destroy()
  })

  test('/metrics adds them up', async () => {
    await using app = await startApp(({ answer }) => answer('ok'))
    await inform([{ key: 'ns/counted', backends: [app.backend] }])
    const open = await clients(16)
    for (const client of open) await client.send(get()).response()
    const admin = await Client.open(gateway.admin!.port)
    const { body } = await admin.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n').response()
    assert.match(body, /kn_serving_invocation_duration_seconds_count\{[^}]*counted[^}]*\} 16\n/)
    for (const client of [...open, admin]) client.socket.destroy()
  })

  test('a worker that dies is started again, and what it held is given back', async () => {
    const held: AppRequest[] = []
    let more = signal()
    await using app = await startApp((request) => {
      held.push(request)
      more.resolve()
    })
    const reached = async (count: number) => {
      while (held.length < count) {
        await more.promise
        more = signal()
      }
    }
    await inform([{ key: 'ns/dies', containerConcurrency: 16, backends: [app.backend] }])
    const open = await clients(16)
    for (const client of open) client.send(get())
    await reached(16)
    await threads[0]!.terminate()
    await Promise.race(open.map(({ closed }) => closed))
    // A turn of the loop, so that all of them are seen.
    ;(await Client.open(gateway.http.port)).socket.destroy()
    const lost = open.filter(({ socket }) => socket.readableEnded || socket.closed).length
    assert.ok(lost > 0 && lost < 16, `${lost} of 16 connections were at the worker that died`)
    // As many again as it held are let through; the pod is full then.
    const next = await clients(lost + 1)
    for (const client of next) client.send(get())
    await reached(16 + lost)
    assert.equal(held.length, 16 + lost)
    for (const { answer } of held) answer('ok')
    await reached(17 + lost)
    held.at(-1)!.answer('ok')
    for (const client of next) assert.equal((await client.response()).status, 200)
    while (threads.length < 3) (await Client.open(gateway.http.port)).socket.destroy()
    for (const client of [...open, ...next]) client.socket.destroy()
  })
})

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { groupKind, type Kind } from '../../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { Ingress } from '../../api/ingress.ts'
import { Revision } from '../../api/revision.ts'
import type { FromGateway, ToGateway } from '../../gateway/feed.ts'
import { readLines } from '../../gateway/lines.ts'
import { connectGateway, type FeedSource } from './feed-client.ts'
import { createFacts, type Fact } from './feed-part.ts'
import { ingressHash } from './snapshot.ts'

/** Caches by hand. */
class Source implements FeedSource {
  readonly #objects = new Map<string, KubeObject>()
  readonly #listeners = new Map<string, (object: KubeObject) => void>()
  readonly #synced = Promise.withResolvers<void>()
  readonly ready = (): void => this.#synced.resolve()

  readonly read: FeedSource['read'] = {
    get: <T extends KubeObject>(kind: Kind<T>, key: ObjectKey) =>
      this.#objects.get(`${groupKind(kind)} ${keyText(key)}`) as T | undefined,
    list: <T extends KubeObject>(kind: Kind<T>) =>
      [...this.#objects]
        .filter(([key]) => key.startsWith(`${groupKind(kind)} `))
        .map(([, object]) => object as T),
    owned: () => [],
  }

  synced(): Promise<void> {
    return this.#synced.promise
  }

  onChange(kind: Kind, listener: (object: KubeObject) => void): () => void {
    this.#listeners.set(groupKind(kind), listener)
    return () => this.#listeners.delete(groupKind(kind))
  }

  put(kind: Kind, object: KubeObject): void {
    this.#objects.set(`${groupKind(kind)} ${keyText(keyOf(object))}`, object)
    this.#listeners.get(groupKind(kind))?.(object)
  }

  remove(kind: Kind, object: KubeObject): void {
    this.#objects.delete(`${groupKind(kind)} ${keyText(keyOf(object))}`)
    this.#listeners.get(groupKind(kind))?.(object)
  }
}

/** A gateway by hand. */
class FakeGateway {
  readonly path: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'ebb-feed-'))
  readonly #server: Server
  #socket: Socket | undefined
  #messages: ToGateway[] = []
  #more: () => void = () => {}

  constructor() {
    this.path = join(this.#folder, 'g.sock')
    this.#server = createServer((socket) => {
      this.#socket = socket
      this.#messages = []
      socket.on('error', () => {})
      readLines(
        socket,
        (line) => {
          this.#messages.push(JSON.parse(line) as ToGateway)
          this.#more()
        },
        (error) => assert.fail(String(error)),
      )
      const address = { host: '127.0.0.1', port: 1 }
      this.send({ type: 'hello', pid: 1, http: address, local: address })
    }).listen(this.path)
  }

  send(message: FromGateway): void {
    this.#socket?.write(`${JSON.stringify(message)}\n`)
  }

  cut(): void {
    this.#socket?.destroy()
  }

  /** What came up to and with the next sync, and its version. */
  async sync(): Promise<{ messages: ToGateway[]; version: number }> {
    const messages: ToGateway[] = []
    for (;;) {
      const message = await this.next()
      if (message.type === 'sync') return { messages, version: message.version }
      messages.push(message)
    }
  }

  async next(): Promise<ToGateway> {
    for (;;) {
      const message = this.#messages.shift()
      if (message) return message
      await new Promise<void>((resolve) => (this.#more = resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const revision = (name: string, containerConcurrency = 0): Revision => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Revision',
  metadata: { namespace: 'ns', name },
  spec: { containerConcurrency, containers: [{ name: 'c', image: 'x' }] },
})
const ingress = (name: string, host: string): Ingress => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Ingress',
  metadata: { namespace: 'ns', name },
  spec: { rules: [{ hosts: [host], http: { paths: [] } }] },
})
const endpoints = (name: string, ip: string): Endpoints => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: {
    namespace: 'ns',
    name: `${name}-private`,
    labels: {
      'serving.knative.dev/revision': name,
      'networking.internal.knative.dev/serviceType': 'Private',
    },
  },
  subsets: [{ addresses: [{ ip }], ports: [{ name: 'http', port: 8080 }] }],
})
const summary = (messages: readonly ToGateway[]): string[] =>
  messages.map((message) => {
    switch (message.type) {
      case 'ingress':
        return `ingress ${message.ingress.key}`
      case 'revision':
        return `revision ${message.revision.key} ${message.revision.backends.map(({ host }) => host).join()}`
      case 'ingress-gone':
      case 'revision-gone':
        return `${message.type} ${message.key}`
      default:
        return message.type
    }
  })

const connected = (gateway: FakeGateway, source: Source) =>
  connectGateway({ socketPath: gateway.path, source, clock: systemClock, log: silent })

test('everything once the caches are full, then only what changed, one sync a moment', async () => {
  await using gateway = new FakeGateway()
  const source = new Source()
  await using _link = connected(gateway, source)
  source.put(Revision, revision('a'))
  source.put(Endpoints, endpoints('a', '10.0.0.1'))
  source.put(Ingress, ingress('app', 'h'))
  source.ready()
  const first = await gateway.sync()
  assert.deepEqual(summary(first.messages), ['reset', 'revision ns/a 10.0.0.1', 'ingress ns/app'])

  source.put(Revision, {
    ...revision('a'),
    metadata: { namespace: 'ns', name: 'a', generation: 9 },
  })
  source.put(Endpoints, endpoints('a', '10.0.0.2'))
  source.put(Revision, revision('b'))
  source.put(Ingress, ingress('app', 'h'))
  const second = await gateway.sync()
  assert.deepEqual(summary(second.messages), ['revision ns/a 10.0.0.2', 'revision ns/b '])

  source.remove(Revision, revision('b'))
  source.remove(Ingress, ingress('app', 'h'))
  const third = await gateway.sync()
  assert.deepEqual(summary(third.messages), ['revision-gone ns/b', 'ingress-gone ns/app'])
})

test('an ingress is acknowledged in the form that was sent, and stays so over a lost connection', async () => {
  await using gateway = new FakeGateway()
  const source = new Source()
  const before = ingress('app', 'h')
  const after = ingress('app', 'other')
  source.put(Ingress, before)
  source.ready()
  await using link = connected(gateway, source)
  const acknowledged: string[] = []
  let more = (): void => {}
  link.onAcknowledged((key) => {
    acknowledged.push(keyText(key))
    more()
  })
  const next = () => new Promise<void>((resolve) => (more = resolve))
  const key = keyOf(before)
  const first = await gateway.sync()
  assert.equal(link.acknowledged(key, ingressHash(before)), false)
  source.put(Ingress, after)
  const second = await gateway.sync()
  let woken = next()
  gateway.send({ type: 'ack', version: first.version })
  await woken
  assert.equal(link.acknowledged(key, ingressHash(before)), true)
  assert.equal(link.acknowledged(key, ingressHash(after)), false)
  woken = next()
  gateway.send({ type: 'ack', version: second.version })
  await woken
  assert.equal(link.acknowledged(key, ingressHash(after)), true)
  assert.deepEqual(acknowledged, ['ns/app', 'ns/app'])

  gateway.cut()
  const again = await gateway.sync()
  assert.deepEqual(summary(again.messages), ['reset', 'ingress ns/app'])
  assert.equal(link.acknowledged(key, ingressHash(after)), true)
})

test('stats and wakes reach their listeners; a drain ends with its answer or with the connection', async () => {
  await using gateway = new FakeGateway()
  const source = new Source()
  source.ready()
  await using link = connected(gateway, source)
  await gateway.sync()
  const stat = { revision: 'ns/a', concurrency: 1, requestCount: 2, seconds: 1 }
  const stats = new Promise((resolve) => link.onStats(resolve))
  const woken = new Promise((resolve) => link.onWake(resolve))
  gateway.send({ type: 'stats', stats: [stat] })
  gateway.send({ type: 'wake', revision: 'ns/a' })
  assert.deepEqual(await stats, [stat])
  assert.deepEqual(await woken, { namespace: 'ns', name: 'a' })

  const first = link.drain('10.0.0.1', 8080)
  const asked = await gateway.next()
  assert.ok(asked.type === 'drain' && asked.host === '10.0.0.1')
  gateway.send({ type: 'drained', id: asked.id })
  await first
  const second = link.drain('10.0.0.1', 8080)
  await gateway.next()
  gateway.cut()
  await second
  await gateway.sync()
  const stopped = link.stop(1000)
  assert.deepEqual(await gateway.next(), { type: 'stop', graceMs: 1000 })
  gateway.cut()
  await stopped
  assert.equal(link.connected, false)
})

test('wakes that come before anybody listens reach the first listener', async () => {
  await using gateway = new FakeGateway()
  const source = new Source()
  source.ready()
  await using link = connected(gateway, source)
  await gateway.sync()
  const stats = new Promise((resolve) => link.onStats(resolve))
  for (const revision of ['ns/a', 'ns/b', 'ns/a']) gateway.send({ type: 'wake', revision })
  gateway.send({ type: 'stats', stats: [] })
  await stats
  const woken: string[] = []
  link.onWake(({ name }) => woken.push(name))
  assert.deepEqual(woken, ['a', 'b'])
  link.onWake(() => assert.fail('told already'))
})

test('facts of other parts: with everything, when they change, again to a gateway that knows nothing', async () => {
  await using gateway = new FakeGateway()
  const source = new Source()
  const facts = createFacts()
  const shared = (hash: string): Fact => ({
    type: 'ingress',
    ingress: { key: '~shared/h', hash, rules: [] },
  })
  facts.tell(shared('one'))
  source.ready()
  const options = { socketPath: gateway.path, source, parts: [facts] }
  await using link = connectGateway({ ...options, clock: systemClock, log: silent })
  const acknowledged = Promise.withResolvers<void>()
  link.onAcknowledged(() => acknowledged.resolve())
  facts.complete()
  const first = await gateway.sync()
  assert.deepEqual(summary(first.messages), ['reset', 'ingress ~shared/h'])

  facts.tell(shared('two'))
  const second = await gateway.sync()
  assert.deepEqual(summary(second.messages), ['ingress ~shared/h'])
  const key = { namespace: '~shared', name: 'h' }
  assert.equal(link.acknowledged(key, 'two'), false)
  gateway.send({ type: 'ack', version: second.version })
  await acknowledged.promise
  assert.equal(link.acknowledged(key, 'two'), true)
  assert.equal(link.acknowledged(key, 'one'), false)

  gateway.cut()
  const again = await gateway.sync()
  assert.deepEqual(summary(again.messages), ['reset', 'ingress ~shared/h'])
  facts.tell({ type: 'ingress-gone', key: '~shared/h' })
  assert.deepEqual(summary((await gateway.sync()).messages), ['ingress-gone ~shared/h'])
})

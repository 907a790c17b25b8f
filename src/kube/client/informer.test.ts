import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { silent } from '../../lib/log.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { ConfigMap } from '../api/config-map.ts'
import { coreKinds } from '../api/kinds.ts'
import { keyOf, type KubeObject } from '../api/meta.ts'
import type { WatchEvent } from '../api/protocol.ts'
import { StatusError } from '../api/status-error.ts'
import { Cache } from './cache.ts'
import { aConfigMap } from './client.contract.ts'
import type { Client } from './client.ts'
import { createInformers } from './informer.ts'

const at = (name: string, revision: number, more: object = {}): ConfigMap => ({
  ...aConfigMap(name),
  metadata: {
    name,
    namespace: 'default',
    uid: `uid-${name}`,
    resourceVersion: String(revision),
    ...more,
  },
})

/** A server whose lists and watches the test says itself. */
class Scripted {
  lists = 0
  watches: string[] = []
  items: ConfigMap[] = []
  revision = 1
  fail: StatusError | undefined
  #push: (event: WatchEvent<ConfigMap> | Error | undefined) => void = () => {}

  readonly client = {
    list: async () => {
      this.lists++
      if (this.fail) throw this.fail
      const metadata = { resourceVersion: String(this.revision) }
      return { apiVersion: 'v1', kind: 'ConfigMapList', metadata, items: this.items }
    },
    watch: async (_kind: unknown, _namespace: string, options: { resourceVersion: string }) => {
      this.watches.push(options.resourceVersion)
      const queue: (WatchEvent<ConfigMap> | Error | undefined)[] = []
      let wake = () => {}
      this.#push = (event) => {
        queue.push(event)
        wake()
      }
      return (async function* () {
        for (;;) {
          while (queue.length > 0) {
            const event = queue.shift()
            if (event === undefined) return
            if (event instanceof Error) throw event
            yield event
          }
          await new Promise<void>((resolve) => (wake = resolve))
        }
      })()
    },
  } as unknown as Client // the informer uses list and watch only

  async push(...events: (WatchEvent<ConfigMap> | Error | undefined)[]) {
    for (const event of events) this.#push(event)
    await settle()
  }
}

async function start(items: ConfigMap[] = []) {
  const clock = new SimClock()
  const server = new Scripted()
  server.items = items
  const informers = createInformers({ client: server.client, clock, log: silent })
  const informer = informers.for(ConfigMap)
  const seen: string[] = []
  informer.subscribe((type, object, previous) =>
    seen.push(
      `${type} ${object.metadata.name} ${previous?.metadata.resourceVersion ?? '-'}>${object.metadata.resourceVersion}`,
    ),
  )
  await settle()
  const dispose = async () => {
    const disposed = informers[Symbol.asyncDispose]()
    await server.push(undefined)
    await disposed
  }
  return { clock, server, informers, informer, seen, [Symbol.asyncDispose]: dispose }
}

test('lists, watches from there, and tells each change with what was before', async () => {
  await using it = await start([at('a', 1)])
  assert.deepEqual(it.server.watches, ['1'])
  await it.server.push(
    { type: 'ADDED', object: at('b', 2) },
    { type: 'MODIFIED', object: at('a', 3) },
    { type: 'DELETED', object: at('b', 4) },
  )
  assert.deepEqual(it.seen, ['ADDED a ->1', 'ADDED b ->2', 'MODIFIED a 1>3', 'DELETED b 2>4'])
  assert.equal(it.informer.size, 1)
  const late: string[] = []
  it.informer.subscribe((type, object) => late.push(`${type} ${object.metadata.name}`))
  assert.deepEqual(late, ['ADDED a'])
})

test('a watch that ends goes on from its last revision, bookmarks included', async () => {
  await using it = await start([at('a', 1)])
  await it.server.push({ type: 'BOOKMARK', object: at('', 9) }, undefined)
  assert.deepEqual(it.server.watches, ['1', '9'])
  assert.equal(it.server.lists, 1)
})

test('Expired lists again at once and tells what had changed meanwhile', async () => {
  await using it = await start([at('a', 1), at('b', 1)])
  it.server.items = [at('b', 5), at('c', 6)]
  it.server.revision = 7
  await it.server.push(new StatusError('Expired', 'too old resource version: 1 (5)'))
  assert.deepEqual(it.seen.slice(2), ['DELETED a 1>1', 'MODIFIED b 1>5', 'ADDED c ->6'])
  assert.deepEqual(it.server.watches, ['1', '7'])
})

test('a server that fails is asked again with back-off, from 100 ms to 30 s', async () => {
  await using it = await start()
  it.server.fail = new StatusError('ServiceUnavailable', 'down')
  await it.server.push(new StatusError('ServiceUnavailable', 'broken'))
  assert.equal(it.server.lists, 1)
  await it.clock.advance(100)
  assert.equal(it.server.lists, 2)
  await it.clock.advance(199)
  assert.equal(it.server.lists, 2)
  await it.clock.advance(1)
  assert.equal(it.server.lists, 3)
  await it.clock.advance(600_000)
  const before = it.server.lists
  await it.clock.advance(60_000)
  assert.equal(it.server.lists - before, 2)
  it.server.fail = undefined
  await it.clock.advance(30_000)
  assert.equal(it.server.watches.length, 2)
})

test('an own write is there at once, and its echo changes nothing', async () => {
  await using it = await start([at('a', 1)])
  it.informer.wrote(at('a', 2))
  assert.equal(it.informer.get({ namespace: 'default', name: 'a' })?.metadata.resourceVersion, '2')
  await it.server.push({ type: 'MODIFIED', object: at('a', 2) })
  assert.deepEqual(it.seen, ['ADDED a ->1', 'MODIFIED a 1>2'])
})

test('an own write that the watch has passed already does not come back from the dead', async () => {
  await using it = await start()
  await it.server.push(
    { type: 'ADDED', object: at('a', 2) },
    { type: 'DELETED', object: at('a', 3) },
  )
  it.informer.wrote(at('a', 2))
  assert.equal(it.informer.size, 0)
})

test('an own write newer than a fresh list survives it', async () => {
  await using it = await start()
  it.informer.wrote(at('a', 20))
  it.server.revision = 10
  await it.server.push(new StatusError('Expired', 'too old'))
  assert.equal(it.informer.size, 1)
})

test('an accepted delete shows until the watch has told about it', async () => {
  await using it = await start([at('a', 1)])
  it.informer.deleted(at('a', 1), it.clock.now())
  const cached = () => it.informer.get({ namespace: 'default', name: 'a' })
  assert.ok(cached()?.metadata.deletionTimestamp)
  await it.server.push({ type: 'MODIFIED', object: at('a', 2) })
  assert.ok(cached()?.metadata.deletionTimestamp, 'an older change does not hide it')
  await it.server.push({ type: 'DELETED', object: at('a', 3) })
  assert.equal(cached(), undefined)
  await it.server.push({ type: 'ADDED', object: at('a', 4, { uid: 'new' }) })
  assert.equal(cached()?.metadata.deletionTimestamp, undefined)
})

test('another object under the same name is a deletion and an addition', async () => {
  await using it = await start([at('a', 1)])
  await it.server.push({ type: 'MODIFIED', object: at('a', 5, { uid: 'other' }) })
  assert.deepEqual(it.seen, ['ADDED a ->1', 'DELETED a 1>1', 'ADDED a ->5'])
})

test('against the API server: caches follow, and objects are the stored ones', async () => {
  const platform = inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })
  await using _platform = platform
  const { client, informers } = platform
  const informer = informers.for(ConfigMap)
  await informers.synced()
  const made = await client.create(ConfigMap, aConfigMap('a'))
  await settle(1)
  assert.equal(informer.get(keyOf(made)), made)
})

/** What the cache promises, the plain way. */
class Model {
  readonly objects = new Map<string, KubeObject>()
  list(namespace: string, labels: Readonly<Record<string, string>>) {
    return [...this.objects.values()].filter(
      ({ metadata }) =>
        (!namespace || metadata.namespace === namespace) &&
        Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value),
    )
  }
  owned(uid: string) {
    return [...this.objects.values()].filter(
      ({ metadata }) => metadata.ownerReferences?.[0]?.uid === uid,
    )
  }
}

test('property: the indexes answer what a search would', () => {
  const letter = fc.constantFrom('a', 'b', 'c')
  const labels = fc.dictionary(fc.constantFrom('x', 'y'), letter, { noNullPrototype: true })
  const step = fc.record({
    remove: fc.boolean(),
    namespace: fc.constantFrom('n', 'm', ''),
    name: letter,
    labels,
    owner: fc.option(letter, { nil: undefined }),
    query: labels,
    where: fc.constantFrom('', 'n', 'm'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const cache = new Cache<KubeObject>()
      const model = new Model()
      const texts = (objects: readonly KubeObject[]) =>
        objects.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).toSorted()
      for (const { remove, namespace, name, labels, owner, query, where } of steps) {
        const id = `${namespace}/${name}`
        if (remove) {
          cache.remove({ namespace, name })
          model.objects.delete(id)
        } else {
          const ref = { apiVersion: 'v1', kind: 'K', name: 'o', uid: owner ?? '', controller: true }
          const object: KubeObject = {
            apiVersion: 'v1',
            kind: 'K',
            metadata: { name, namespace, labels, ...(owner && { ownerReferences: [ref] }) },
          }
          cache.put(object)
          model.objects.set(id, object)
        }
        assert.equal(cache.size, model.objects.size)
        assert.deepEqual(texts(cache.list(where, query)), texts(model.list(where, query)))
        const uid = owner ?? 'a'
        const parent: KubeObject = { apiVersion: 'v1', kind: 'K', metadata: { name: 'o', uid } }
        assert.deepEqual(texts(cache.owned(parent)), texts(model.owned(uid)))
      }
    }),
    { numRuns: 200 },
  )
})

test('a kind that the server may lack counts as empty until the server has it', async () => {
  const clock = new SimClock()
  const missing = new StatusError('NotFound', 'the server could not find the requested resource')
  const server = new Scripted()
  server.fail = missing
  const options = { client: server.client, clock, log: silent }
  const informers = createInformers({ ...options, optional: [ConfigMap] })
  const informer = informers.for(ConfigMap)
  await informers.synced()
  assert.equal(informer.size, 0)
  const added: string[] = []
  informer.subscribe((_type, object) => added.push(object.metadata.name))
  server.fail = undefined
  server.items = [at('a', 1)]
  await clock.advance(60_000)
  assert.deepEqual(added, ['a'])
  const disposed = informers[Symbol.asyncDispose]()
  await server.push(undefined)
  await disposed

  const insisting = new Scripted()
  insisting.fail = missing
  await using others = createInformers({ ...options, client: insisting.client })
  let synced = false
  void others.synced([ConfigMap]).then(() => (synced = true))
  await clock.advance(60_000)
  assert.equal(synced, false)
})

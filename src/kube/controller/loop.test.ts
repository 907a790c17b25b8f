import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../lib/random.ts'
import { inMemoryPlatform, type InMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { aDeployment } from '../../testing/kube-objects.ts'
import { ConfigMap } from '../api/config-map.ts'
import { Deployment } from '../api/deployment.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { controllerRef, keyOf } from '../api/meta.ts'
import { Secret } from '../api/secret.ts'
import { StatusError } from '../api/status-error.ts'
import type { Client } from '../client/client.ts'
import { simulate, withoutHistory } from './convergence.ts'
import { startController } from './loop.ts'
import type { Plan, Reconciler } from './reconciler.ts'

/** Copies a Deployment's annotation `copy` into a ConfigMap of its name, and says so in its status. */
const copier = (
  more: Partial<Reconciler<Deployment, World>> = {},
): Reconciler<Deployment, World> => ({
  name: 'copy-controller',
  kind: Deployment,
  watches: [{ kind: ConfigMap, wake: 'owner' }],
  observe: (deployment, read) => ({
    deployment,
    copy: read.get(ConfigMap, keyOf(deployment)),
  }),
  plan: ({ deployment, copy }) => ({
    apply: [
      {
        kind: ConfigMap,
        desired: desiredCopy(deployment),
        created: { type: 'Normal', reason: 'Created', message: 'made a copy' },
        createFailed: { type: 'Warning', reason: 'CreationFailed', message: 'no copy: ' },
      },
    ],
    status: {
      observedGeneration: deployment.metadata.generation,
      replicas: copy ? 1 : 0,
    },
  }),
  ...more,
})

interface World {
  readonly deployment: Deployment
  readonly copy: ConfigMap | undefined
}

const desiredCopy = (owner: Deployment): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {
    name: owner.metadata.name,
    ...(owner.metadata.namespace && { namespace: owner.metadata.namespace }),
    ownerReferences: [controllerRef(owner)],
  },
  data: { text: owner.metadata.annotations?.copy ?? '' },
})

const withText = (text: string): Deployment => {
  const plain = aDeployment('web', 1)
  return { ...plain, metadata: { ...plain.metadata, annotations: { copy: text } } }
}

const web = { namespace: 'default', name: 'web' }

/** Counts what is written, by verb. */
function counting(client: Client) {
  const counts: Record<string, number> = {}
  const counted = (name: string) => (counts[name] = (counts[name] ?? 0) + 1)
  const watched: Client = {
    ...client,
    create: (...args) => (counted('create'), client.create(...args)),
    update: (...args) => (counted('update'), client.update(...args)),
    updateStatus: (...args) => (counted('status'), client.updateStatus(...args)),
    patch: (...args) => (counted('patch'), client.patch(...args)),
    delete: (...args) => (counted('delete'), client.delete(...args)),
  }
  return { client: watched, counts }
}

async function events(platform: InMemoryPlatform, clock: SimClock) {
  await clock.advance(50)
  await platform.recorder.flushed()
  const { items } = await platform.client.list(Event, 'default')
  return items.map(({ type, reason, message, count, source }) =>
    [type, reason, message, count, source?.component].join(' | '),
  )
}

function start() {
  const clock = new SimClock()
  return { clock, platform: inMemoryPlatform({ kinds: coreKinds, clock }) }
}

test('wants are written once, wishes that are met not at all', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const { client, counts } = counting(platform.client)
  await using _controller = startController(copier(), { ...platform, client })
  await settle()
  const made = await platform.client.create(Deployment, withText('1'))
  await settle()
  assert.deepEqual((await platform.client.get(ConfigMap, web)).data, { text: '1' })
  assert.deepEqual((await platform.client.get(Deployment, web)).status, {
    observedGeneration: 1,
    replicas: 1,
  })
  assert.equal(counts.create, 1)
  const before = platform.store.revision
  await clock.advance(40_000_000) // past the full resync
  assert.equal(platform.store.revision - before, 1, 'only the event was written')
  const body = { metadata: { annotations: { copy: '2' } } }
  await platform.client.patch(Deployment, keyOf(made), { type: 'merge', body })
  await settle()
  assert.deepEqual((await platform.client.get(ConfigMap, web)).data, { text: '2' })
  assert.equal(counts.update, 1)
})

test('a status that can wait is left to the round that follows what was just written', async () => {
  const statusWrites = async (more: Partial<Plan>) => {
    const { platform } = start()
    await using _platform = platform
    const { client, counts } = counting(platform.client)
    const plain = copier()
    await using _controller = startController(
      copier({ plan: (world, nowMs) => ({ ...plain.plan(world, nowMs), ...more }) }),
      { ...platform, client },
    )
    await settle()
    await platform.client.create(Deployment, withText('1'))
    await settle()
    const { status } = await platform.client.get(Deployment, web)
    assert.deepEqual(status, { observedGeneration: 1, replicas: 1 })
    return counts['status']
  }
  assert.equal(await statusWrites({}), 2)
  assert.equal(await statusWrites({ statusCanWait: true }), 1)
})

test('a status that can wait is written all the same by one who always finds something to write', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  let rounds = 0
  const seen: number[] = []
  await using _controller = startController(
    copier({
      plan({ deployment }) {
        rounds++
        if (deployment.status?.replicas) seen.push(deployment.status.replicas)
        const copy = { ...desiredCopy(deployment), data: { text: String(rounds) } }
        const apply = rounds < 7 ? [{ kind: ConfigMap, desired: copy }] : []
        return { apply, status: { replicas: Math.min(rounds, 7) }, statusCanWait: true }
      },
    }),
    platform,
  )
  await settle()
  await platform.client.create(Deployment, withText('1'))
  for (let i = 0; i < 20; i++) await clock.advance(1)
  assert.ok(seen.includes(2) && seen.includes(4) && seen.includes(6), seen.join())
})

test('a child that someone removes or changes is put back', async () => {
  const { platform } = start()
  await using _platform = platform
  await using _controller = startController(copier(), platform)
  const { client } = platform
  await settle()
  await client.create(Deployment, withText('1'))
  await settle()
  await client.delete(ConfigMap, web)
  await settle()
  const copy = await client.get(ConfigMap, web)
  await client.update(ConfigMap, { ...copy, data: { text: 'spoilt' } })
  await settle()
  assert.deepEqual((await client.get(ConfigMap, web)).data, { text: '1' })
})

test('a cache that lags does not create twice', async () => {
  const { platform } = start()
  await using _platform = platform
  const { client, counts } = counting(platform.client)
  // The watch of ConfigMaps never says anything: only own writes can be known.
  const deaf: Client = {
    ...client,
    watch: (kind, ...rest) =>
      kind.kind === 'ConfigMap'
        ? new Promise((_, reject) => {
            rest[2].addEventListener('abort', () => reject(new Error('ended')))
          })
        : client.watch(kind, ...rest),
  }
  const { createInformers } = await import('../client/informer.ts')
  await using informers = createInformers({ ...platform, client: deaf })
  await using _controller = startController(copier(), { ...platform, client, informers })
  await settle()
  await client.create(Deployment, withText('1'))
  await settle()
  const body = { metadata: { annotations: { copy: '2' } } }
  await client.patch(Deployment, web, { type: 'merge', body })
  await settle()
  assert.deepEqual((await client.get(ConfigMap, web)).data, { text: '2' })
  assert.equal(counts.create, 2, 'the Deployment and one ConfigMap')
  assert.equal(counts.update, 1)
})

test('a refusal is an event, a retry with back-off, and a status of its own', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  let refusals = 3
  const client: Client = {
    ...platform.client,
    create: (kind, object, options) =>
      kind.kind === 'ConfigMap' && refusals-- > 0
        ? Promise.reject(new StatusError('Forbidden', 'quota'))
        : platform.client.create(kind, object, options),
  }
  const reconciler = copier()
  await using _controller = startController(
    {
      ...reconciler,
      plan: (world, nowMs): Plan => ({
        ...reconciler.plan(world, nowMs),
        statusOnFailure: ({ message }) => ({
          conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'R', message }],
        }),
      }),
    },
    { ...platform, client },
  )
  await settle()
  await platform.client.create(Deployment, withText('1'))
  await settle()
  const failed = await platform.client.get(Deployment, web)
  assert.equal(failed.status?.conditions?.[0]?.message, 'quota')
  assert.equal(refusals, 1, 'the status woke it once more')
  await clock.advance(5)
  assert.equal(refusals, 0)
  await clock.advance(20)
  await platform.client.get(ConfigMap, web)
  assert.deepEqual((await events(platform, clock)).toSorted(), [
    'Normal | Created | made a copy | 1 | copy-controller',
    'Warning | CreationFailed | no copy: quota | 3 | copy-controller',
    'Warning | InternalError | quota | 3 | copy-controller',
  ])
})

test('a conflict is tried again on the fresh object, silently', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const stale = new StatusError('Conflict', 'the object has been modified')
  let conflicts = 1
  const client: Client = {
    ...platform.client,
    updateStatus: (kind, object) =>
      conflicts-- > 0 ? Promise.reject(stale) : platform.client.updateStatus(kind, object),
  }
  await using _controller = startController(copier(), { ...platform, client })
  await settle()
  await platform.client.create(Deployment, withText('1'))
  await clock.advance(20)
  assert.equal((await platform.client.get(Deployment, web)).status?.replicas, 1)
  assert.deepEqual(await events(platform, clock), [
    'Normal | Created | made a copy | 1 | copy-controller',
  ])
})

test('a patch on an object that has just gone is no failure; on one that never was, it is', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const known = { namespace: 'default', name: 'known' }
  await platform.client.create(ConfigMap, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: known,
  })
  const client: Client = {
    ...platform.client,
    patch: (kind, ...rest) =>
      kind.kind === 'ConfigMap'
        ? Promise.reject(new StatusError('NotFound', 'configmaps is not there'))
        : platform.client.patch(kind, ...rest),
  }
  await platform.client.create(Deployment, withText('1'))
  const eventsOfPatching = async (name: string) => {
    const key = { namespace: 'default', name }
    const plan = () => ({ patch: [{ kind: ConfigMap, key, body: { data: { a: '1' } } }] })
    await using _controller = startController(copier({ plan }), { ...platform, client })
    await clock.advance(20)
    return await events(platform, clock)
  }
  assert.deepEqual(await eventsOfPatching('known'), [])
  assert.match((await eventsOfPatching('unknown')).join(), /InternalError/)
})

test('a status that can’t be written is an event of its own', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const client: Client = {
    ...platform.client,
    updateStatus: () => Promise.reject(new StatusError('InternalError', 'disk full')),
  }
  await using _controller = startController(copier(), { ...platform, client })
  await settle()
  await platform.client.create(Deployment, withText('1'))
  await settle()
  assert.deepEqual(await events(platform, clock), [
    'Normal | Created | made a copy | 1 | copy-controller',
    'Warning | UpdateFailed | Failed to update status for "web": disk full | 4 | copy-controller',
  ])
})

test('the finalizer comes before the first plan and goes when finalize is done', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const { client } = platform
  let done = false
  const finalizer = 'deployments.ex.dev'
  await using _controller = startController(
    copier({
      finalizer,
      finalize: () => ({ done, delete: [{ kind: ConfigMap, key: web }], requeueAfterMs: 1_000 }),
    }),
    platform,
  )
  await settle()
  await client.create(Deployment, withText('1'))
  await settle()
  assert.deepEqual((await client.get(Deployment, web)).metadata.finalizers, [finalizer])
  await client.delete(Deployment, web)
  await settle()
  assert.deepEqual(
    (await client.list(ConfigMap, 'default', { labelSelector: '!x' })).items.length,
    1,
  )
  done = true
  await clock.advance(1_000)
  await assert.rejects(client.get(Deployment, web), /not found/)
  const texts = await events(platform, clock)
  assert.ok(
    texts.includes('Normal | FinalizerUpdate | Updated "web" finalizers | 2 | copy-controller'),
  )
})

test('defaults that the server fills in are not fought over', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  const { client, counts } = counting(platform.client)
  await using _controller = startController<ConfigMap, ConfigMap>(
    {
      name: 'default-controller',
      kind: ConfigMap,
      watches: [{ kind: Deployment, wake: 'owner' }],
      handles: ({ metadata }) => metadata.name === 'web',
      observe: (map) => map,
      plan: (map) => {
        const plain = aDeployment('web', 1)
        const metadata = { ...plain.metadata, ownerReferences: [controllerRef(map)] }
        return { apply: [{ kind: Deployment, desired: { ...plain, metadata } }] }
      },
    },
    { ...platform, client },
  )
  await settle()
  const map: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...web } }
  await platform.client.create(ConfigMap, map)
  await settle()
  const made = await platform.client.get(Deployment, web)
  assert.equal(made.spec.revisionHistoryLimit, 10, 'the server did fill in something')
  await clock.advance(40_000_000)
  await clock.advance(40_000_000)
  assert.deepEqual(counts, { create: 1 })
})

test('a wake from outside, and looking again after a while', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  let looks = 0
  let wake = () => {}
  await using _controller = startController(
    copier({
      plan: () => (looks++, { requeueAfterMs: 60_000 }),
      connect: (add) => {
        wake = () => add(web)
        return { [Symbol.dispose]: () => {} }
      },
    }),
    platform,
  )
  await settle()
  await platform.client.create(Deployment, withText('1'))
  await settle()
  assert.equal(looks, 1)
  await clock.advance(60_000)
  assert.equal(looks, 2)
  wake()
  await settle()
  assert.equal(looks, 3)
})

test('reading a kind that was not declared is an error, not an empty answer', async () => {
  const { clock, platform } = start()
  await using _platform = platform
  await using _controller = startController(copier({ watches: [] }), platform)
  await settle()
  await platform.client.create(Deployment, withText('1'))
  await settle()
  const [text] = await events(platform, clock)
  assert.match(text ?? '', /InternalError \| copy-controller reads ConfigMap, which is not among/)
})

test('gone: what garbage collection can’t tidy is tidied', async () => {
  const { platform } = start()
  await using _platform = platform
  const { client } = platform
  await using _controller = startController(
    copier({
      watches: [{ kind: Secret, wake: 'none' }],
      plan: () => ({}),
      gone: (key, read) => (read.get(Secret, key) ? { delete: [{ kind: Secret, key }] } : {}),
    }),
    platform,
  )
  await settle()
  await client.create(Deployment, withText('1'))
  await client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: { ...web } })
  await client.delete(Deployment, web)
  await settle()
  assert.equal((await client.list(Secret, 'default')).items.length, 0)
})

test('simulate: any order ends alike, and endless changes are noticed', () => {
  const end = (seed: number) => {
    const simulation = simulate([copier()])
    simulation.put(Deployment, withText('1'))
    simulation.settle({ nowMs: 0, random: seededRandom(seed) })
    return withoutHistory(simulation.objects())
  }
  for (let seed = 1; seed < 20; seed++) assert.deepEqual(end(seed), end(0))
  let count = 0
  const restless = simulate([copier({ plan: () => ({ status: { replicas: count++ } }) })])
  restless.put(Deployment, withText('1'))
  assert.throws(() => restless.settle({ nowMs: 0 }), /no end after 1000 rounds/)
})

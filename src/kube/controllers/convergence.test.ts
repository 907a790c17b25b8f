/** All controllers together over the real API server: whatever is done to them, and however often they are stopped, the end is right. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom, type Random } from '../../lib/random.ts'
import { inMemoryPlatform, type InMemoryPlatform } from '../../testing/platform.ts'
import { addNode, aDeployment, becomeReady } from '../../testing/kube-objects.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { Deployment } from '../api/deployment.ts'
import { EndpointSlice } from '../api/endpoint-slice.ts'
import { Endpoints } from '../api/endpoints.ts'
import { coreKinds } from '../api/kinds.ts'
import { keyOf } from '../api/meta.ts'
import { Pod } from '../api/pod.ts'
import { ReplicaSet } from '../api/replica-set.ts'
import { Service } from '../api/service.ts'
import { hasReason, StatusError } from '../api/status-error.ts'
import type { TypedClient } from '../client/typed-client.ts'
import { startKubeControllers } from './controllers.ts'
import { isReady } from './pod-state.ts'

type Operation =
  | {
      readonly kind: 'apply'
      readonly name: string
      readonly replicas: number
      readonly image: string
    }
  | { readonly kind: 'delete'; readonly name: string; readonly policy: 'Background' | 'Foreground' }
  | { readonly kind: 'killPod'; readonly which: number }
  | { readonly kind: 'serve' | 'unserve'; readonly name: string }
  | { readonly kind: 'kubelet' }
  | { readonly kind: 'restart' }

const name = fc.constantFrom('a', 'b')
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    kind: fc.constant('apply' as const),
    name,
    replicas: fc.integer({ min: 0, max: 3 }),
    image: fc.constantFrom('x', 'y'),
  }),
  fc.record({
    kind: fc.constant('delete' as const),
    name,
    policy: fc.constantFrom('Background' as const, 'Foreground' as const),
  }),
  fc.record({ kind: fc.constant('killPod' as const), which: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constantFrom('serve' as const, 'unserve' as const), name }),
  fc.record({ kind: fc.constant('kubelet' as const) }),
  fc.record({ kind: fc.constant('restart' as const) }),
)

/** A client whose writes go wrong now and then: refused, in conflict, or done without the answer arriving. */
function flaky(client: TypedClient, random: Random): { client: TypedClient; calm: () => void } {
  let risk = 0.3
  const write = async <R>(run: () => Promise<R>): Promise<R> => {
    const dice = random.next()
    if (dice < risk / 3) throw new StatusError('InternalError', 'the server is tired')
    if (dice < (risk * 2) / 3) throw new StatusError('Conflict', 'somebody was quicker')
    const result = await run()
    if (dice < risk) throw new StatusError('Timeout', 'no answer')
    return result
  }
  return {
    calm: () => void (risk = 0),
    client: {
      ...client,
      create: (...args) => write(() => client.create(...args)),
      update: (...args) => write(() => client.update(...args)),
      updateStatus: (...args) => write(() => client.updateStatus(...args)),
      patch: (...args) => write(() => client.patch(...args)),
      delete: (...args) => write(() => client.delete(...args)),
      subresource: (...args) => write(() => client.subresource(...args)),
    },
  }
}

const ignore = (error: unknown) =>
  assert.ok(hasReason(error, 'NotFound', 'AlreadyExists', 'Conflict'))

/** Makes bound pods ready and ends those that are told to go. */
async function kubelet({ client, clock }: InMemoryPlatform) {
  const { items } = await client.list(Pod, 'default')
  for (const pod of items) {
    if (pod.metadata.deletionTimestamp)
      await client.delete(Pod, keyOf(pod), { gracePeriodSeconds: 0 }).catch(ignore)
    else if (pod.spec.nodeName && !isReady(pod))
      await becomeReady(client, pod, clock, '10.0.0.1').catch(ignore)
  }
}

async function carryOut(platform: InMemoryPlatform, operation: Operation): Promise<void> {
  const { client } = platform
  const key = { namespace: 'default', name: 'name' in operation ? operation.name : '' }
  switch (operation.kind) {
    case 'apply': {
      const { replicas, image } = operation
      const desired = aDeployment(key.name, replicas, {
        template: {
          metadata: { labels: { app: key.name } },
          spec: { containers: [{ name: 'main', image }] },
        },
      })
      await client.create(Deployment, desired).catch(async (error: unknown) => {
        ignore(error)
        await client.update(Deployment, desired).catch(ignore)
      })
      return
    }
    case 'delete':
      await client.delete(Deployment, key, { propagationPolicy: operation.policy }).catch(ignore)
      return
    case 'killPod': {
      const { items } = await client.list(Pod, 'default')
      const pod = items[operation.which]
      if (pod) await client.delete(Pod, keyOf(pod)).catch(ignore)
      return
    }
    case 'serve': {
      const spec = { selector: { app: key.name }, ports: [{ port: 80 }] }
      await client
        .create<Service>(Service, { apiVersion: 'v1', kind: 'Service', metadata: key, spec })
        .catch(ignore)
      return
    }
    case 'unserve':
      await client.delete(Service, key).catch(ignore)
      return
    case 'kubelet':
      await kubelet(platform)
      return
    case 'restart':
  }
}

/** What must hold when everything has come to rest. */
async function check({ client }: InMemoryPlatform): Promise<void> {
  const all = async <T extends Parameters<typeof client.list>[0]>(kind: T) =>
    (await client.list(kind, 'default')).items
  const deployments = (await client.list(Deployment, 'default')).items
  const sets = (await client.list(ReplicaSet, 'default')).items
  const pods = (await client.list(Pod, 'default')).items
  for (const deployment of deployments) {
    const { replicas = 1, template } = deployment.spec
    const { name } = deployment.metadata
    const mine = pods.filter(({ metadata }) => metadata.labels?.app === name)
    assert.equal(mine.length, replicas, `pods of ${name}`)
    for (const pod of mine)
      assert.equal(pod.spec.containers[0]?.image, template?.spec?.containers[0]?.image)
    const progressing = deployment.status?.conditions?.find(({ type }) => type === 'Progressing')
    assert.equal(progressing?.reason, 'NewReplicaSetAvailable', name)
    assert.equal(deployment.status?.availableReplicas ?? 0, replicas)
    assert.equal(deployment.status?.observedGeneration, deployment.metadata.generation)
  }
  const uids = new Set([
    ...deployments.map(({ metadata }) => metadata.uid),
    ...sets.map(({ metadata }) => metadata.uid),
    ...(await all(Service)).map(({ metadata }) => metadata.uid),
    ...(await all(Endpoints)).map(({ metadata }) => metadata.uid),
  ])
  for (const { metadata } of [...sets, ...pods, ...(await all(EndpointSlice))])
    for (const ref of metadata.ownerReferences ?? [])
      assert.ok(uids.has(ref.uid), `${metadata.name} has lost its owner`)
  const services = await all(Service)
  const endpoints = (await client.list(Endpoints, 'default')).items
  assert.deepEqual(
    endpoints.map(({ metadata }) => metadata.name),
    services.map(({ metadata }) => metadata.name),
  )
  for (const { metadata, subsets = [] } of endpoints) {
    const count = subsets.reduce((sum, { addresses = [] }) => sum + addresses.length, 0)
    const ready = pods.filter((pod) => pod.metadata.labels?.app === metadata.name && isReady(pod))
    assert.equal(count, ready.length, `endpoints of ${metadata.name}`)
  }
}

test('property: any operations, failing writes, controllers stopped and started at will: all converge', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 25 }),
      fc.integer(),
      async (operations, seed) => {
        const clock = new SimClock()
        const random = seededRandom(seed)
        await using platform = inMemoryPlatform({ kinds: coreKinds, clock, random })
        await addNode(platform.client, 'n1')
        const { client, calm } = flaky(platform.client, random)
        const start = () => startKubeControllers({ ...platform, client, kinds: coreKinds })
        let controllers = start()
        for (const operation of operations) {
          await carryOut(platform, operation)
          if (operation.kind === 'restart') {
            await controllers[Symbol.asyncDispose]()
            controllers = start()
          }
          // Sometimes they get a moment, sometimes the next blow comes at once.
          if (random.next() < 0.5) await settle(1)
        }
        calm()
        for (let round = 0; round < 15; round++) {
          await clock.advance(3_000)
          await kubelet(platform)
        }
        await clock.advance(60_000)
        await check(platform)
        const { revision } = platform.store
        await clock.advance(3_000)
        assert.equal(platform.store.revision, revision, 'at rest nothing is written')
        await controllers[Symbol.asyncDispose]()
      },
    ),
    { numRuns: 40 },
  )
})

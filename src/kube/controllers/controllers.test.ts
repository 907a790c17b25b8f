import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deployment } from '../api/deployment.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { Pod } from '../api/pod.ts'
import { ReplicaSet } from '../api/replica-set.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { startKubeControllers } from './controllers.ts'
import { aDeployment, addNode, becomeReady } from '../../testing/kube-objects.ts'

test('a Deployment becomes bound pods, and their readiness becomes its status', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  await using _controllers = startKubeControllers({ ...platform, kinds: coreKinds })
  await addNode(client, 'n1')
  await settle()
  await client.create(Deployment, aDeployment('web', 2))
  await settle()
  const pods = await client.list(Pod, 'default')
  assert.deepEqual(
    pods.items.map((pod) => pod.spec.nodeName),
    ['n1', 'n1'],
  )
  for (const pod of pods.items) await becomeReady(client, pod, clock)
  await settle()
  const web = await client.get(Deployment, { namespace: 'default', name: 'web' })
  assert.deepEqual(
    web.status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    ['Available True MinimumReplicasAvailable', 'Progressing True NewReplicaSetAvailable'],
  )
  const { conditions: _, ...numbers } = web.status ?? {}
  assert.deepEqual(numbers, {
    observedGeneration: web.metadata.generation,
    replicas: 2,
    updatedReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
  })
  const [set] = (await client.list(ReplicaSet, 'default')).items
  assert.match(set?.metadata.name ?? '', /^web-[bcdfghjklmnpqrstvwxz2456789]{8,10}$/)
  await clock.advance(1_000)
  const events = (await client.list(Event, 'default')).items
  const texts = events.map(({ involvedObject, reason, message }) =>
    `${involvedObject.kind} ${reason} ${message}`.replace(/[a-z0-9]{5}( to |$)/, '?$1'),
  )
  assert.equal(events.length, 5)
  assert.ok(
    texts.includes(
      `Deployment ScalingReplicaSet Scaled up replica set ${set?.metadata.name} from 0 to 2`,
    ),
  )
  assert.equal(
    texts.filter((text) => text.startsWith('Pod Scheduled Successfully assigned')).length,
    2,
  )
  assert.equal(texts.filter((text) => text.startsWith('ReplicaSet SuccessfulCreate')).length, 2)
})

test('a Deployment that is scaled says so once, with what its ReplicaSet has made of it', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client, store } = platform
  await using _controllers = startKubeControllers({ ...platform, kinds: coreKinds })
  await addNode(client, 'n1')
  await client.create(Deployment, aDeployment('web', 0))
  await settle()
  const said: string[] = []
  using _subscription = store.subscribe(({ object }) => {
    if (object.kind !== 'Deployment' || !('status' in object)) return
    const { observedGeneration, replicas } = (object as Deployment).status ?? {}
    said.push(`generation ${observedGeneration}: ${replicas ?? 0} replicas`)
  })
  const body = { spec: { replicas: 1 } }
  const web = { namespace: 'default', name: 'web' }
  await client.patch(Deployment, web, { type: 'merge', body, subresource: 'scale' })
  await settle()
  assert.deepEqual(said, ['generation 1: 0 replicas', 'generation 2: 1 replicas'])
})

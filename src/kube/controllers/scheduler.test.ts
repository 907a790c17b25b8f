import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { addNode } from '../../testing/kube-objects.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { Event } from '../api/event.ts'
import { coreKinds } from '../api/kinds.ts'
import { Node } from '../api/node.ts'
import { Pod } from '../api/pod.ts'
import { quantity } from './quantity.ts'
import { requestsOf, startScheduler } from './scheduler.ts'

const aPod = (name: string, cpu = '1', more: Partial<Pod['spec']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }],
    ...more,
  },
})

async function start() {
  const clock = new SimClock()
  const stack = new AsyncDisposableStack()
  const platform = stack.use(inMemoryPlatform({ kinds: coreKinds, clock }))
  stack.use(startScheduler(platform))
  await settle()
  const { client } = platform
  return {
    client,
    clock,
    add: async (pod: Pod) => {
      await client.create(Pod, pod)
      await settle()
    },
    pod: (name: string) => client.get(Pod, { namespace: 'default', name }),
    remove: async (name: string) => {
      const key = { namespace: 'default', name }
      await client.delete(Pod, key, { gracePeriodSeconds: 0 })
      await settle()
    },
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  }
}

test('a pod is bound: node, condition, event', async () => {
  await using it = await start()
  await addNode(it.client, 'n1')
  await it.add(aPod('p'))
  const { spec, status } = await it.pod('p')
  assert.equal(spec.nodeName, 'n1')
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled')
  assert.equal(scheduled?.status, 'True')
  await it.clock.advance(10)
  const { items } = await it.client.list(Event, 'default')
  assert.deepEqual(
    items.map(({ reason, message, source }) => [reason, message, source?.component]),
    [['Scheduled', 'Successfully assigned default/p to n1', 'default-scheduler']],
  )
})

test('without room a pod waits, says why, and is bound when another one leaves', async () => {
  await using it = await start()
  await addNode(it.client, 'n1', { cpu: '1500m' })
  await it.add(aPod('a'))
  await it.add(aPod('b'))
  const waiting = await it.pod('b')
  assert.equal(waiting.spec.nodeName, undefined)
  const scheduled = waiting.status?.conditions?.find(({ type }) => type === 'PodScheduled')
  assert.deepEqual(
    [scheduled?.status, scheduled?.reason, scheduled?.message],
    [
      'False',
      'Unschedulable',
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    ],
  )
  await it.add(aPod('c', '500m'))
  assert.equal((await it.pod('c')).spec.nodeName, 'n1', 'a smaller one finds room')
  await it.remove('a')
  assert.equal((await it.pod('b')).spec.nodeName, 'n1')
  await it.clock.advance(10)
  const { items } = await it.client.list(Event, 'default')
  assert.equal(items.filter(({ reason }) => reason === 'FailedScheduling').length, 1)
})

test('pods that come before the node wait for it; a pod that ended takes no room', async () => {
  await using it = await start()
  await it.add(aPod('a'))
  await addNode(it.client, 'n1', { cpu: '1' })
  await settle()
  const bound = await it.pod('a')
  assert.equal(bound.spec.nodeName, 'n1')
  await it.client.updateStatus<Pod>(Pod, { ...bound, status: { phase: 'Succeeded' } })
  await it.add(aPod('b'))
  assert.equal((await it.pod('b')).spec.nodeName, 'n1')
})

test('a cordoned node, a selector and a number of pods are respected', async () => {
  await using it = await start()
  const node = await addNode(it.client, 'n1', { pods: '1' })
  const cordon = (unschedulable: boolean | null) =>
    it.client.patch(
      Node,
      { namespace: '', name: node.metadata.name },
      { type: 'merge', body: { spec: { unschedulable } } },
    )
  await cordon(true)
  const why = async (name: string) => {
    const { status } = await it.pod(name)
    const found = status?.conditions?.find(({ type }) => type === 'PodScheduled')
    return found?.message?.split('.')[0]
  }
  await it.add(aPod('a'))
  assert.equal(await why('a'), '0/1 nodes are available: 1 node(s) were unschedulable')
  await cordon(null)
  await settle()
  assert.equal((await it.pod('a')).spec.nodeName, 'n1')
  await it.add(aPod('b'))
  assert.equal(await why('b'), '0/1 nodes are available: 1 Too many pods')
  await it.add(aPod('c', '0', { nodeSelector: { disk: 'ssd' } }))
  assert.match((await why('c')) ?? '', /didn't match Pod's node affinity\/selector/)
})

test('requests: the sum of containers, or the largest init container', () => {
  const pod = aPod('p', '500m', {
    initContainers: [
      { name: 'i', image: 'i', resources: { requests: { cpu: '2', memory: '1Gi' } } },
      { name: 's', image: 'i', restartPolicy: 'Always', resources: { requests: { cpu: '1' } } },
    ],
  })
  assert.deepEqual(Object.fromEntries(requestsOf(pod)), { pods: 1, cpu: 2, memory: 2 ** 30 })
})

test('quantities', () => {
  const table = {
    '100m': 0.1,
    '1Gi': 2 ** 30,
    '2': 2,
    '1e3': 1000,
    '128974848': 128974848,
    '1k': 1000,
  }
  for (const [text, number] of Object.entries(table)) assert.equal(quantity(text), number)
  for (const bad of ['', 'x', '1Q', '--1']) assert.equal(quantity(bad), 0)
})

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Node } from '../../api/node.ts'
import { Pod } from '../../api/pod.ts'
import type { KubeletDeps } from '../kubelet.ts'
import { simulatedNode } from './simulated-node.fixture.ts'

const since = '2026-01-01T00:00:00Z'

/** A node whose pods answer their probes unless `answering` is false, with one that is ready. */
async function frozenNode(t: TestContext, options: Partial<KubeletDeps> = {}) {
  const probes: number[] = []
  const simulated = await simulatedNode(t, (clock) => ({
    probe: async () => {
      probes.push(clock.now())
      return node.answering ? undefined : 'no answer'
    },
    ...options,
  }))
  const node = {
    ...simulated,
    probes,
    answering: true,
    isFrozen: () => simulated.condition('Frozen')?.status === 'True',
    create: (name = 'p') =>
      simulated.create(
        {},
        {
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 0 },
          livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 5, failureThreshold: 1 },
        },
        name,
      ),
    mark: (value: string | null, name = 'p') =>
      simulated.client.patch(
        Pod,
        { namespace: 'default', name },
        { type: 'merge', body: { metadata: { annotations: { 'ebb.dev/frozen-since': value } } } },
      ),
  }
  await node.create()
  await node.until(node.isReady)
  return node
}

test('a pod is unready first, quiet then, and stopped last; probes rest meanwhile', async (t) => {
  const quiet = Promise.withResolvers<void>()
  const node = await frozenNode(t, { beforeFreeze: () => quiet.promise })
  node.runtime.memory = 3 << 20
  await node.mark(since)
  await node.until(() => !node.isReady())
  assert.equal(node.condition('Ready')?.reason, 'Frozen')
  assert.deepEqual(node.runtime.signals, [])
  assert.ok(!node.isFrozen(), 'it runs until nobody sends requests any more')
  quiet.resolve()
  await node.until(() => node.condition('Frozen')?.message?.includes('3072Ki') === true)
  assert.deepEqual(node.runtime.signals, ['SIGSTOP c'])
  assert.equal(node.read()?.status?.reason, 'Frozen')
  const probed = node.probes.length
  node.answering = false
  await node.clock.advance(60_000)
  assert.equal(node.probes.length, probed)
  assert.equal(node.read()?.status?.containerStatuses?.[0]?.restartCount, 0)
})

test('it thaws at once, as ready as it was, and is looked after', async (t) => {
  const node = await frozenNode(t)
  await node.mark(since)
  await node.until(node.isFrozen)
  const [probed, at] = [node.probes.length, node.clock.now()]
  await node.mark(null)
  await node.until(node.isReady)
  assert.equal(node.clock.now(), at)
  assert.deepEqual(node.runtime.signals, ['SIGSTOP c', 'SIGCONT c'])
  assert.equal(node.condition('Frozen')?.status, 'False')
  assert.equal(node.read()?.status?.reason, undefined)
  assert.equal(node.probes[probed], at, 'one probe at once')
  node.answering = false
  await node.until(() => !node.isReady(), 500)
})

test('a request that comes before it is quiet keeps it from being stopped', async (t) => {
  const quiet = Promise.withResolvers<void>()
  let aborted = false
  const node = await frozenNode(t, {
    beforeFreeze: async (_pod, signal) => {
      await quiet.promise
      aborted = signal.aborted
    },
  })
  await node.mark(since)
  await node.until(() => !node.isReady())
  await node.mark(null)
  await node.until(node.isReady)
  quiet.resolve()
  await node.until(() => aborted)
  await node.clock.advance(1_000)
  assert.ok(!node.runtime.signals.includes('SIGSTOP c'))
  assert.ok(node.isReady())
})

test('a new node agent finds it frozen and thaws it, or lets run what nobody wants frozen', async (t) => {
  const node = await frozenNode(t)
  await node.mark(since)
  await node.until(node.isFrozen)
  await node.restart()
  await node.clock.advance(10_000)
  assert.ok(node.isFrozen() && !node.isReady())
  await node.mark(null)
  await node.until(node.isReady)
  assert.deepEqual(node.runtime.signals, ['SIGSTOP c', 'SIGSTOP c', 'SIGCONT c'])
  await node.restart()
  await node.clock.advance(1_000)
  assert.equal(node.runtime.signals.at(-1), 'SIGCONT c')
  assert.ok(node.isReady())
})

test('a frozen pod that is deleted hears of its end', async (t) => {
  const node = await frozenNode(t)
  await node.mark(since)
  await node.until(node.isFrozen)
  await node.client.delete(Pod, { namespace: 'default', name: 'p' })
  await node.until(() => node.read() === undefined, 100)
  assert.deepEqual(node.runtime.signals.slice(0, 3), ['SIGSTOP c', 'SIGCONT c', 'SIGTERM c'])
})

test('what dies while it is frozen is started when it thaws', async (t) => {
  const node = await frozenNode(t)
  await node.mark(since)
  await node.until(node.isFrozen)
  node.runtime.exit('c', 137)
  await node.clock.advance(60_000)
  assert.equal(node.runtime.started.length, 1)
  await node.mark(null)
  await node.until(node.isReady, 100)
  assert.equal(node.runtime.started.length, 2)
})

test('when frozen pods keep too much memory, the one frozen longest has to go', async (t) => {
  const node = await frozenNode(t, { frozenMemoryLimit: () => 5 << 20 })
  node.runtime.memory = 2 << 20
  for (const name of ['q', 'r']) {
    await node.create(name)
    await node.until(() => node.condition('Ready', name)?.status === 'True')
  }
  for (const name of ['q', 'p', 'r']) {
    await node.mark(since, name)
    await node.until(() => node.condition('Frozen', name)?.message?.includes('Ki') === true)
  }
  const evicted = () =>
    ['p', 'q', 'r'].filter(
      (name) => node.read(name)?.metadata.annotations?.['ebb.dev/frozen-evicted'] !== undefined,
    )
  await node.until(() => evicted().length > 0)
  assert.deepEqual(evicted(), ['q'])
  await node.clock.advance(2_000)
  const { metadata } = await node.client.get(Node, { namespace: '', name: 'node' })
  assert.equal(metadata.annotations?.['ebb.dev/frozen-pods'], '3')
  assert.equal(metadata.annotations['ebb.dev/frozen-memory-bytes'], String(6 << 20))
})

import assert from 'node:assert/strict'
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fakeImages } from '../../../testing/fake-runtime.ts'
import { ConfigMap } from '../../api/config-map.ts'
import { Event } from '../../api/event.ts'
import { Pod } from '../../api/pod.ts'
import type { Images } from '../runtime.ts'
import { simulatedNode } from './simulated-node.fixture.ts'

test('the command line is entrypoint and cmd, or what the pod says', async (t) => {
  const node = await simulatedNode(t)
  await node.create({}, { args: ['$(FROM_IMAGE)'] })
  await node.until(node.isReady)
  const [spec] = node.runtime.started
  assert.deepEqual(spec?.command, ['/program', 'yes'])
  assert.equal(spec.workingDir, '/app')
})

test('restarts wait 0, 10 and 20 seconds, and ten minutes of running are a new start', async (t) => {
  const node = await simulatedNode(t)
  await node.create()
  await node.until(node.isReady)
  const starts = () => node.runtime.started.length
  const delays: number[] = []
  const crash = async () => {
    const [count, at] = [starts(), node.clock.monotonic()]
    node.runtime.exit('c', 1)
    await node.until(() => starts() > count, 1_000)
    await node.until(node.isReady)
    delays.push(Math.round((node.clock.monotonic() - at) / 10_000) * 10)
  }
  for (let i = 0; i < 3; i++) await crash()
  await node.clock.advance(600_000)
  await crash()
  await crash()
  assert.deepEqual(delays, [0, 10, 20, 0, 10])
  assert.equal(node.read()?.status?.containerStatuses?.[0]?.restartCount, 5)
})

test('a pod is drained before its program is told to end, and killed when the grace is over', async (t) => {
  const drained = Promise.withResolvers<void>()
  const node = await simulatedNode(t, { beforeStop: () => drained.promise })
  node.runtime.deaf.add('c')
  await node.create({ terminationGracePeriodSeconds: 20 })
  await node.until(node.isReady)
  await node.client.delete(Pod, { namespace: 'default', name: 'p' })
  await node.clock.advance(5_000)
  assert.deepEqual(node.runtime.signals, [])
  drained.resolve()
  await node.until(() => node.runtime.signals.length > 0)
  assert.deepEqual(node.runtime.signals, ['SIGTERM c'])
  await node.clock.advance(14_000)
  assert.deepEqual(node.runtime.signals, ['SIGTERM c'])
  await node.clock.advance(1_000)
  assert.deepEqual(node.runtime.signals, ['SIGTERM c', 'SIGKILL c'])
  await node.until(() => node.read() === undefined)
})

test('draining never takes longer than the grace, which a second delete may shorten', async (t) => {
  const node = await simulatedNode(t, { beforeStop: () => new Promise(() => {}) })
  await node.create({ terminationGracePeriodSeconds: 600 })
  await node.until(node.isReady)
  await node.client.delete(Pod, { namespace: 'default', name: 'p' })
  await node.clock.advance(1_000)
  await node.client.delete(Pod, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 3 })
  await node.clock.advance(2_900)
  assert.deepEqual(node.runtime.signals, [])
  await node.clock.advance(200)
  assert.deepEqual(node.runtime.signals, ['SIGTERM c'])
  await node.until(() => node.read() === undefined)
})

test('a deadline ends the pod as Failed', async (t) => {
  const node = await simulatedNode(t)
  await node.create({ activeDeadlineSeconds: 30 })
  await node.until(node.isReady)
  await node.clock.advance(30_000)
  await node.until(() => node.read()?.status?.phase === 'Failed')
  assert.equal(node.read()?.status?.reason, 'DeadlineExceeded')
  assert.equal(
    node.read()?.status?.message,
    'Pod was active on the node longer than the specified deadline',
  )
})

test('a startup probe holds readiness back until it succeeds', async (t) => {
  const node = await simulatedNode(t)
  node.runtime.execAnswer = { exitCode: 1, output: 'not yet' }
  await node.create(
    {},
    { startupProbe: { exec: { command: ['x'] }, periodSeconds: 1, failureThreshold: 100 } },
  )
  await node.until(() => node.read()?.status?.phase === 'Running')
  await node.clock.advance(5_000)
  assert.equal(node.isReady(), false)
  assert.equal(node.read()?.status?.containerStatuses?.[0]?.started, false)
  node.runtime.execAnswer = { exitCode: 0, output: '' }
  await node.clock.advance(1_000)
  await node.until(node.isReady)
})

test('a new node agent adopts running pods without a change of their status', async (t) => {
  const node = await simulatedNode(t)
  await node.create({}, { readinessProbe: { exec: { command: ['x'] } } })
  await node.until(node.isReady)
  const before = node.read()?.status
  node.runtime.execAnswer = { exitCode: 1, output: 'for a moment' }
  await node.restart()
  await node.clock.advance(5_000)
  assert.deepEqual(node.read()?.status, before)
  assert.equal(node.runtime.started.length, 1)
})

test('a finalizer keeps the object of an ended pod, and the node agent leaves it alone', async (t) => {
  const node = await simulatedNode(t)
  await node.create()
  await node.until(node.isReady)
  const key = { namespace: 'default', name: 'p' }
  await node.client.patch(Pod, key, {
    type: 'merge',
    body: { metadata: { finalizers: ['a.b/c'] } },
  })
  await node.client.delete(Pod, key)
  await node.until(() => node.read()?.metadata.deletionGracePeriodSeconds === 0)
  await node.clock.advance(60_000)
  const { revision } = node.store
  await node.client.patch(Pod, key, { type: 'merge', body: { metadata: { labels: { x: 'y' } } } })
  await node.clock.advance(5_000)
  assert.equal(node.read()?.status?.phase, 'Failed')
  assert.equal(node.store.revision, revision + 1, 'nobody but us wrote')
  await node.client.patch(Pod, key, { type: 'merge', body: { metadata: { finalizers: null } } })
  await node.until(() => node.read() === undefined)
})

test('an image that is built while a pod waits for it is found at once', async (t) => {
  const known = new Set(['other'])
  const listeners = new Set<() => void>()
  const images: Images = {
    ...fakeImages(known),
    resolve: async (name) => (known.has(name) ? name : Promise.reject(new Error('not found'))),
    onTagged(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
  }
  const node = await simulatedNode(t, { images })
  await node.create()
  const waits = () => node.read()?.status?.containerStatuses?.[0]?.state?.waiting?.reason
  await node.until(() => waits() === 'ImagePullBackOff', 100)
  const tag = (name: string) => {
    known.add(name)
    for (const call of listeners) call()
  }
  tag('another')
  await node.clock.advance(100)
  assert.equal(waits(), 'ImagePullBackOff')
  const beforeMs = node.clock.monotonic()
  tag('i')
  await node.until(node.isReady)
  assert.equal(node.clock.monotonic(), beforeMs)
  assert.equal(listeners.size, 0)
})

test('a changed ConfigMap reaches the files of a running container', async (t) => {
  const node = await simulatedNode(t)
  const settings = (color: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data: { color },
  })
  await node.client.create(ConfigMap, settings('blue'))
  await node.create(
    { volumes: [{ name: 'v', configMap: { name: 'settings' } }] },
    { volumeMounts: [{ name: 'v', mountPath: '/settings' }] },
  )
  await node.until(node.isReady)
  const folder = join(node.dataDir, 'pods', node.read()?.metadata.uid ?? '', 'volumes', 'v')
  const color = () => readFileSync(join(folder, 'color'), 'utf8')
  const version = readlinkSync(join(folder, '..data'))
  await node.until(() => node.clock.monotonic() > 200_000, 10_000)
  assert.equal(color(), 'blue')
  assert.equal(readlinkSync(join(folder, '..data')), version, 'nothing changed, nothing written')
  await node.client.patch(
    ConfigMap,
    { namespace: 'default', name: 'settings' },
    {
      type: 'merge',
      body: { data: { color: 'red' } },
    },
  )
  // Simulated time may run ahead of the file reads of the round before.
  await node.until(() => color() === 'red', 1_000)
  await node.client.delete(ConfigMap, { namespace: 'default', name: 'settings' })
  await node.clock.advance(120_000)
  assert.equal(color(), 'red', 'files outlive what they came from')
})

test('a hook after the start that fails ends its container', async (t) => {
  const node = await simulatedNode(t)
  node.runtime.execAnswer = { exitCode: 1, output: 'no' }
  await node.create({}, { lifecycle: { postStart: { exec: { command: ['prepare'] } } } })
  await node.until(() => node.runtime.signals.includes('SIGTERM c'))
  await node.until(() => (node.read()?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0)
  await node.recorder.flushed()
  const { items } = await node.client.list(Event, 'default')
  const told = items.map(({ reason, message }) => `${reason}: ${message}`)
  assert.ok(told.includes('FailedPostStartHook: PostStartHook failed'), told.join('\n'))
  assert.ok(told.includes('Killing: FailedPostStartHook'), told.join('\n'))
})

test('a container for debugging begins beside the others, once', async (t) => {
  const node = await simulatedNode(t)
  await node.create()
  await node.until(node.isReady)
  const debuggers = [{ name: 'debugger', image: 'i', targetContainerName: 'c' }]
  await node.client.patch(
    Pod,
    { namespace: 'default', name: 'p' },
    {
      type: 'strategic',
      subresource: 'ephemeralcontainers',
      body: { spec: { ephemeralContainers: debuggers } },
    },
  )
  const seen = () => node.read()?.status?.ephemeralContainerStatuses?.[0]?.state
  await node.until(() => seen()?.running !== undefined)
  assert.deepEqual(
    node.runtime.started.find(({ container }) => container === 'debugger')?.processes,
    { of: 'c' },
  )
  node.runtime.exit('debugger', 0)
  await node.until(() => seen()?.terminated !== undefined)
  await node.until(() => node.clock.monotonic() > 100_000, 10_000)
  assert.equal(node.runtime.started.filter(({ container }) => container === 'debugger').length, 1)
  assert.equal(node.read()?.status?.phase, 'Running')
})

test('a pod whose emptyDir holds more than it may is evicted', async (t) => {
  const node = await simulatedNode(t)
  await node.create(
    { volumes: [{ name: 'v', emptyDir: { sizeLimit: '64Ki' } }] },
    { volumeMounts: [{ name: 'v', mountPath: '/v' }] },
  )
  await node.until(node.isReady)
  const folder = join(node.dataDir, 'pods', node.read()?.metadata.uid ?? '', 'volumes', 'v')
  writeFileSync(join(folder, 'small'), 'x')
  await node.until(() => node.clock.monotonic() > 100_000, 10_000)
  assert.equal(node.read()?.status?.phase, 'Running')
  writeFileSync(join(folder, 'large'), Buffer.alloc(100_000, 1))
  await node.until(() => node.read()?.status?.phase === 'Failed', 1_000)
  const { reason, message } = node.read()?.status ?? {}
  assert.deepEqual(
    [reason, message],
    ['Evicted', 'Usage of EmptyDir volume "v" exceeds the limit "64Ki". '],
  )
})

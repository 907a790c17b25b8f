import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Network, PodNetwork } from './network.ts'
import { warmInterpreters } from './warm-interpreters.ts'

const warm = { entry: 'index.js', args: [], execArgv: [] }

/** What the launcher was told, in order, and a network with so many namespaces ready. */
function setUp(mode: 'host' | 'namespaces', size = 1, namespaces = 3, used = false) {
  const clock = new SimClock()
  const told: string[] = []
  const ready: PodNetwork[] = Array.from({ length: namespaces }, (_, i) => ({
    podIP: `10.0.0.${i}`,
    netns: `ns-${i}`,
  }))
  const network: Network = {
    mode,
    hostIP: '10.0.0.1',
    ready: () => ready,
    async acquire(_ports, preferred = () => true) {
      const at = Math.max(0, ready.findIndex(preferred))
      return ready.splice(at, 1)[0] ?? { podIP: '10.0.0.99' }
    },
    async release() {},
    enter: ({ netns }) => ['enter', netns ?? ''],
    async [Symbol.asyncDispose]() {},
  }
  const interpreters = warmInterpreters({
    launcher: {
      warm: async (place, argv) => void told.push(`warm ${place}: ${argv.join(' ')}`),
      cool: async (place) => void told.push(`cool ${place}`),
    },
    network,
    size,
    used,
    onUsed: () => void told.push('used'),
    argv: ['node'],
    clock,
    log: silent,
  })
  const pod = async (uid: string, image: string, start: typeof warm | false = warm) => {
    const { netns } = await interpreters.acquire(uid, [], [image])
    return { netns, place: interpreters.take(uid, image, start || undefined)?.place }
  }
  return { clock, told, interpreters, pod }
}

test('none is started before a Node program was; then where the next pod will be', async () => {
  const { clock, told, pod } = setUp('namespaces')
  await pod('a', 'shell', false)
  await clock.advance(5_000)
  assert.deepEqual(told, [])
  assert.deepEqual(await pod('b', 'node'), { netns: 'ns-1', place: undefined })
  await clock.advance(149)
  assert.deepEqual(told, ['used'], 'not while pods start')
  await clock.advance(1)
  assert.deepEqual(told, ['used', 'warm ns-2: enter ns-2 node'])
  assert.deepEqual(await pod('c', 'node'), { netns: 'ns-2', place: 'ns-2' })
})

test('an image that was no Node program gets a namespace without an interpreter', async () => {
  const { clock, told, pod, interpreters } = setUp('namespaces', 1, 5)
  await pod('a', 'node')
  await clock.advance(150)
  // Not known yet: the interpreter waits in vain, and is ended.
  assert.deepEqual(await pod('b', 'shell', false), { netns: 'ns-1', place: undefined })
  await clock.advance(150)
  assert.deepEqual(told.slice(1), [
    'warm ns-1: enter ns-1 node',
    'cool ns-1',
    'warm ns-2: enter ns-2 node',
  ])
  assert.deepEqual(await pod('c', 'shell', false), { netns: 'ns-3', place: undefined })
  const held = await interpreters.acquire('d', [], ['node'])
  assert.equal(held.netns, 'ns-2')
  interpreters.release('d')
  assert.equal(told.at(-1), 'cool ns-2', 'a pod that went before it started anything')
})

test('in the shared network any interpreter will do, and one that was not ready is still there', async () => {
  const { clock, told, pod, interpreters } = setUp('host', 2)
  await pod('a', 'node')
  await clock.advance(150)
  assert.deepEqual(told, ['used', 'warm host: node'], 'one after the other')
  await clock.advance(150)
  assert.deepEqual(told, ['used', 'warm host: node', 'warm host: node'])
  assert.equal((await pod('b', 'node')).place, 'host')
  interpreters.missed('host')
  assert.equal((await pod('c', 'node')).place, 'host')
  await clock.advance(1_000)
  assert.equal(told.length, 4, 'one in place of the one that was used')
})

test('starts that follow each other put off a new interpreter for five seconds at most', async () => {
  const { clock, told, pod } = setUp('host')
  for (let i = 0; i < 50; i++) {
    await pod(`p${i}`, 'node')
    assert.equal(told.length, 1)
    await clock.advance(100)
  }
  assert.equal(told.length, 2)
})

test('none is started while programs are coming up', async () => {
  const { clock, told, pod, interpreters } = setUp('host')
  interpreters.starting(1)
  await pod('a', 'node')
  await clock.advance(2_000)
  assert.equal(told.length, 1)
  interpreters.starting(0)
  await clock.advance(149)
  assert.equal(told.length, 1)
  await clock.advance(1)
  assert.equal(told.length, 2)
  interpreters.starting(1)
  interpreters.starting(0)
  await clock.advance(5_000)
  assert.equal(told.length, 2, 'there is one already')
})

test('a new launcher has none; size 0 is none at all', async () => {
  const { clock, told, pod, interpreters } = setUp('host')
  await pod('a', 'node')
  await clock.advance(150)
  interpreters.restarted()
  await clock.advance(150)
  assert.equal(told.length, 3)
  const off = setUp('host', 0)
  await off.pod('a', 'node')
  await off.clock.advance(5_000)
  assert.deepEqual(off.told, [])
})

test('where a Node program was started before, one is kept from the start, a moment later', async () => {
  const { clock, told } = setUp('host', 1, 0, true)
  await clock.advance(999)
  assert.deepEqual(told, [])
  await clock.advance(1)
  assert.deepEqual(told, ['warm host: node'])
})

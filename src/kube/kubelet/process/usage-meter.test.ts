import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Pod } from '../../api/pod.ts'
import { createUsageMeter } from './usage-meter.ts'

const aPod = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: name } },
  spec: { containers: [{ name: 'c', image: 'i' }] },
  status: {
    phase: 'Running',
    containerStatuses: [
      {
        name: 'c',
        image: 'i',
        imageID: '',
        ready: true,
        restartCount: 0,
        containerID: `process://${name}`,
        state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
      },
    ],
  },
})

function setUp(names: readonly string[]) {
  const clock = new SimClock()
  const asked: string[] = []
  const meter = createUsageMeter({
    clock,
    nodeName: 'here',
    pods: { values: () => names.map(aPod).values() },
    runtime: {
      // Half a core, ever since the clock began.
      cpuNanos: async (id) => {
        asked.push(id)
        return clock.monotonic() * 500_000
      },
      memoryBytes: async () => 64 * 1024 * 1024,
    },
    machine: () => ({ cpuNanos: clock.monotonic() * 2_000_000, memoryBytes: 2 ** 30 }),
  })
  return { clock, asked, meter }
}

test('the first question looks twice, a second apart; the next ones look once and not too often', async () => {
  const { clock, asked, meter } = setUp(['a'])
  const first = meter.pods()
  await clock.advance(1_000)
  assert.deepEqual((await first)[0]?.containers, [
    { name: 'c', usage: { cpu: '500000000n', memory: '65536Ki' } },
  ])
  assert.equal((await first)[0]?.window, '1s')
  assert.equal(asked.length, 2)
  await meter.nodes()
  assert.equal(asked.length, 2)
  await clock.advance(15_000)
  assert.equal((await meter.pods())[0]?.window, '15s')
  assert.equal(asked.length, 3)
})

test('questions at the same time are one look, and the machine is measured with its pods', async () => {
  const { clock, asked, meter } = setUp(['a', 'b'])
  const both = Promise.all([meter.pods(), meter.nodes()])
  await clock.advance(1_000)
  const [pods, nodes] = await both
  assert.equal(pods.length, 2)
  assert.equal(asked.length, 4)
  assert.deepEqual(nodes[0]?.usage, { cpu: '2000000000n', memory: '1048576Ki' })
})

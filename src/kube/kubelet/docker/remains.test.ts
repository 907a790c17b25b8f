/** What is removed of a platform, also when the engine refuses a part of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { EngineError } from './engine-http.ts'
import type { Engine } from './engine.ts'
import { removeRemains } from './remains.ts'

test('a network that the engine keeps does not keep images, and is named', async () => {
  const removed: string[] = []
  const engine = {
    containers: async () => [{ id: 'c', state: 'exited', labels: {} }],
    wait: async () => 0,
    remove: async (id: string) => void removed.push(id),
    removeNetwork: async () => {
      throw new EngineError(403, 'network x has active endpoints')
    },
    images: async () => ['ebb.local/p:one'],
    removeImage: async (name: string) => void removed.push(name),
  } as unknown as Engine
  await assert.rejects(
    removeRemains(engine, 'p', 0, new SimClock()),
    /keeps the network ebb-p \(network x has active endpoints\); all else is removed\. Restart the engine/,
  )
  assert.deepEqual(removed, ['c', 'ebb.local/p:one'])
})

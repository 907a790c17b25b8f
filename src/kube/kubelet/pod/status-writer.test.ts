import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { coreKinds } from '../../api/kinds.ts'
import { keyOf } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import type { Client } from '../../client/client.ts'
import { StatusWriter } from './status-writer.ts'

test('the newest status is written in the end, at whatever moment it comes', async () => {
  // So many microtasks after the first write was answered.
  for (let ticks = 0; ticks < 12; ticks++) {
    const clock = new SimClock()
    await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
    const pod = await platform.client.create(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'default' },
      spec: { containers: [{ name: 'web', image: 'web' }] },
    })
    let answers = 0
    const client: Client = {
      ...platform.client,
      async patch(...args) {
        const answer = await platform.client.patch(...args)
        if (answers++ === 0) void after(ticks, () => writer.want({ phase: 'Running' }))
        return answer
      },
    }
    const writer = new StatusWriter(pod, { client, clock, log: silent, wrote: () => {} })
    writer.want({ phase: 'Pending' })
    await settle()
    await writer.flushed()
    const { status } = await platform.client.get(Pod, keyOf(pod))
    assert.equal(status?.phase, 'Running', `${ticks} microtasks later`)
  }
})

async function after(ticks: number, then: () => void): Promise<void> {
  for (let i = 0; i < ticks; i++) await Promise.resolve()
  then()
}

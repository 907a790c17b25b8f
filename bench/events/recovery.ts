/** How soon an engine with many stored events is back: from its start to its configuration being in effect. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SubscriptionStats } from '../../src/eventing/broker/feed.ts'
import { encodeStored } from '../../src/eventing/broker/stored-event.ts'
import { openSegmentLog } from '../../src/eventing/log/segment-log.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Row } from '../row.ts'
import { broker, eventType, startEngine, trigger } from './engine.ts'

export async function recovered(stored: number): Promise<readonly Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-bench-recovery-'))
  try {
    const events = join(directory, 'events', 'channels', 'bench', 'events')
    const log = await openSegmentLog({ directory: events, clock: systemClock })
    const attributes = { specversion: '1.0', source: '/bench', type: eventType }
    for (let n = 0; n < stored;) {
      const group: Promise<number>[] = []
      for (; n < stored && group.length < 10_000; n++)
        group.push(
          log.append(
            encodeStored({
              event: { attributes: { ...attributes, id: String(n) }, data: Buffer.alloc(200) },
              passed: [],
            }),
          ),
        )
      await Promise.all(group)
    }
    await log[Symbol.asyncDispose]()
    // Once without, so that what is compiled and copied on the first start does not count.
    await (await startEngine(broker([])))[Symbol.asyncDispose]()
    const start = performance.now()
    await using engine = await startEngine(broker([trigger('t', 'http://127.0.0.1:9/')]), directory)
    const tookMs = performance.now() - start
    const stats = (await engine.ask('GET', '/stats')) as readonly SubscriptionStats[]
    if (stats.length !== 1) throw new Error('the Trigger is not there')
    const name = `engine started with ${stored.toLocaleString('en')} stored events`
    return [{ name, value: tookMs, unit: 'ms' }]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

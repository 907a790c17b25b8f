/** How soon an engine with many stored events is back: with its configuration in effect, and with an event delivered. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeStored } from '../../src/eventing/broker/stored-event.ts'
import { openSegmentLog } from '../../src/eventing/log/segment-log.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Row } from '../row.ts'
import { sender } from './delivery.ts'
import { broker, eventType, startEngine, subscriber, trigger } from './engine.ts'

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
    let deliveredMs = Number.NaN
    const { promise, resolve } = Promise.withResolvers<void>()
    using sink = await subscriber(() => {
      deliveredMs = performance.now() - start
      resolve()
    })
    const start = performance.now()
    await using engine = await startEngine(broker([trigger('t', sink.url)]), directory)
    const startedMs = performance.now() - start
    using sending = await sender(engine.port)
    sending.send('first')
    await promise
    const name = `engine started with ${stored.toLocaleString('en')} stored events`
    return [
      { name, value: startedMs, unit: 'ms' },
      { name: `${name}: the first new one is delivered after`, value: deliveredMs, unit: 'ms' },
    ]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

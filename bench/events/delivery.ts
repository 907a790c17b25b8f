/** From sender to subscriber: how long it takes at a steady rate, and how many deliveries a second to many Triggers. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds } from '../processes.ts'
import { percentile, type Row } from '../row.ts'
import {
  broker,
  brokerHost,
  brokerPath,
  eventType,
  startEngine,
  subscriber,
  trigger,
} from './engine.ts'

/** Events a second. */
const rate = 1000

/** At a steady rate through a filter to one subscriber; the first second does not count. */
export async function delivered(seconds: number): Promise<readonly Row[]> {
  const sentMs = new Map<string, number>()
  const latencies: number[] = []
  using sink = await subscriber((id) => latencies.push(performance.now() - (sentMs.get(id) ?? 0)))
  await using engine = await startEngine(broker([trigger('t', sink.url)]))
  using sending = await sender(engine.port)
  const total = (seconds + 1) * rate
  const start = performance.now()
  let cpuBefore = 0
  for (let n = 0; n < total;) {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * rate))
    if (n <= rate && due > rate) cpuBefore = cpuSeconds([engine.pid])
    for (; n < due; n++) {
      sentMs.set(String(n), performance.now())
      sending.send(String(n))
    }
    await sleep(1)
  }
  while (latencies.length < total) await sleep(10)
  const cpu = ((cpuSeconds([engine.pid]) - cpuBefore) / (seconds * rate)) * 1e6
  const settled = latencies.slice(rate)
  const what = '1,000 events/s, acknowledged, filtered, at the subscriber'
  return [
    { name: `${what}: p50`, value: percentile(settled, 50), unit: 'ms' },
    { name: `${what}: p99`, value: percentile(settled, 99), unit: 'ms' },
    { name: `${what}: CPU of the engine an event`, value: cpu, unit: 'µs' },
  ]
}

/** All take every event; as many are sent as keep 20 of them on their way to each. */
export async function fannedOut(triggers: number, seconds: number): Promise<readonly Row[]> {
  let taken = 0
  using sink = await subscriber(() => taken++)
  const all = Array.from({ length: triggers }, (_, i) => trigger(`t${i}`, sink.url))
  await using engine = await startEngine(broker(all))
  using sending = await sender(engine.port)
  const start = performance.now()
  const cpuBefore = cpuSeconds([engine.pid])
  let sent = 0
  while (performance.now() - start < seconds * 1000) {
    if (sent * triggers - taken < 20 * triggers) sending.send(String(sent++))
    else await sleep(1)
  }
  while (taken < sent * triggers) await sleep(5)
  const perSecond = taken / ((performance.now() - start) / 1000)
  const cpu = ((cpuSeconds([engine.pid]) - cpuBefore) / taken) * 1e6
  return [
    { name: `to ${triggers} Triggers: deliveries`, value: perSecond, unit: '1/s' },
    { name: `to ${triggers} Triggers: CPU of the engine a delivery`, value: cpu, unit: 'µs' },
  ]
}

/** Sends without waiting for answers, on a connection of its own. */
export async function sender(port: number) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.resume()
  await new Promise((resolve) => socket.once('connect', resolve))
  const data = 'x'.repeat(1024)
  return {
    send: (id: string) =>
      socket.write(
        `POST ${brokerPath} HTTP/1.1\r\nHost: ${brokerHost}\r\n` +
          `Content-Length: ${data.length}\r\nce-specversion: 1.0\r\nce-id: ${id}\r\nce-source: /bench\r\n` +
          `ce-type: ${eventType}\r\n\r\n${data}`,
      ),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

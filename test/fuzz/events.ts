/**
 * The fuzzer of events: valid and spoilt messages at the engine's door, cut where it likes. Throws at the first broken
 * promise: an event that was accepted is in the log as it was sent, everything else is refused by a 4xx or ends its
 * connection, nothing hangs, memory stays.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from '../../src/eventing/broker/engine.ts'
import { select } from '../../src/eventing/broker/following/selection.ts'
import { checkEvent } from '../../src/eventing/cloudevents/cloud-event.ts'
import { collectGarbage } from '../../src/testing/garbage.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { bufferedServer } from '../../src/lib/http1/buffered-server.ts'
import { silent } from '../../src/lib/log.ts'
import { randomInt, seededRandom, type Random } from '../../src/lib/random.ts'
import { cut, mutate, pick } from './bytes.ts'

export interface EventFuzzResult {
  readonly rounds: number
  /** Messages that were answered, by status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly heapMb: readonly [number, number]
}

const host = 'broker-ingress.knative-eventing.svc.cluster.local'
const patienceMs = 10_000
const allowedGrowthMb = 96

export async function fuzzEvents({
  seed,
  durationMs,
}: {
  readonly seed: number
  readonly durationMs: number
}): Promise<EventFuzzResult> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-fuzz-events-'))
  const engine = new Engine({
    directory,
    clock: systemClock,
    log: silent,
    journal: () => {},
    sender: { send: () => Promise.reject(new Error('nobody listens')), [Symbol.dispose]() {} },
  })
  await engine.apply({
    brokerHosts: [host],
    channels: [{ uid: 'b', kind: 'Broker', namespace: 'n', name: 'b', subscriptions: [] }],
  })
  const server = bufferedServer({
    clock: systemClock,
    handle: (request) => engine.handle(request),
    maxBodyBytes: 64 << 10,
    readTimeoutMs: 500,
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const statuses: Record<string, number> = {}
  const endMs = performance.now() + durationMs
  let rounds = 0
  let firstMb = 0
  try {
    for (; performance.now() < endMs; rounds++) {
      const own = (seed + rounds) >>> 0
      try {
        await round(seededRandom(own), port, statuses)
      } catch (error) {
        throw new Error(`npm run fuzz -- --target events --seed ${own}`, { cause: error })
      }
      if (rounds === 20) firstMb = heapMb()
    }
    await everythingIsWhole(engine)
    const lastMb = heapMb()
    if (rounds > 20) assert.ok(lastMb < firstMb + allowedGrowthMb, `${firstMb} to ${lastMb} MB`)
    return { rounds, statuses, heapMb: [firstMb, lastMb] }
  } finally {
    server.close()
    await engine[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  }
}

function heapMb(): number {
  collectGarbage()
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20)
}

/** What is in the log is an event by all rules, whatever came in. */
async function everythingIsWhole(engine: Engine): Promise<void> {
  const channel = engine.channel('b')
  assert.ok(channel)
  for await (const { stored } of select(channel, {})) checkEvent(stored.event)
}

async function round(random: Random, port: number, statuses: Record<string, number>) {
  const kinds = Array.from({ length: 8 }, () => random.next() < 0.6)
  await Promise.all(
    kinds.map(async (spoil) => {
      const message = messageOf(random)
      const bytes = spoil ? mutate(message, random) : message
      const answer = await exchange(port, cut(bytes, random), spoil)
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]
      if (!spoil) assert.equal(status, '202', `${bytes.toString('latin1')}\n→ ${answer}`)
      // Any other 5xx than "not spoken here" says that the engine did not know what to do.
      assert.ok(!/^HTTP\/1\.1 5(?!01|05)/m.test(answer), `${bytes.toString('latin1')}\n→ ${answer}`)
      if (status !== undefined) statuses[status] = (statuses[status] ?? 0) + 1
    }),
  )
}

const texts = ['x', 'a b', 'ü', '💧', '%', '%41', '"q"', "'", '/s?a=b#c', '0', '-1', 'true', '']

function messageOf(random: Random): Buffer {
  const text = () => pick(random, texts.slice(0, -1))
  const attributes: Record<string, string> = {
    specversion: pick(random, ['1.0', '0.3']),
    id: text(),
    source: '/s',
    type: text(),
    ...(random.next() < 0.3 && { subject: text() }),
    ...(random.next() < 0.3 && { time: '2026-11-21T10:00:00.123456789+01:00' }),
    ...(random.next() < 0.3 && { [`ext${randomInt(random, 5)}`]: text() }),
  }
  const head = [`POST /n/b HTTP/1.1`, `Host: ${host}`]
  const data = 'd'.repeat(randomInt(random, 2000))
  const kind = random.next()
  if (kind < 0.4) {
    for (const [name, value] of Object.entries(attributes))
      head.push(`ce-${name}: ${encodeURIComponent(value)}`)
    return whole([...head, 'Content-Type: text/plain'], data, random)
  }
  const event = { ...attributes, data: random.next() < 0.5 ? data : { n: 1, deep: [[[data]]] } }
  if (kind < 0.8)
    return whole([...head, 'Content-Type: application/cloudevents+json'], event, random)
  const batch = Array.from({ length: 1 + randomInt(random, 3) }, () => event)
  return whole([...head, 'Content-Type: application/cloudevents-batch+json'], batch, random)
}

function whole(head: readonly string[], data: unknown, random: Random): Buffer {
  const body = Buffer.from(typeof data === 'string' ? data : JSON.stringify(data))
  const chunked = random.next() < 0.3
  const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`
  const chunks =
    body.length === 0
      ? '0\r\n\r\n'
      : `${body.length.toString(16)}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`
  return Buffer.concat([
    Buffer.from(`${[...head, framing, 'Connection: close'].join('\r\n')}\r\n\r\n`, 'latin1'),
    chunked ? Buffer.from(chunks, 'latin1') : body,
  ])
}

/** Everything that came back until the connection ended; one that was spoilt may end its side early. */
function exchange(port: number, pieces: readonly Buffer[], spoilt: boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let text = ''
    const cancel = systemClock.after(patienceMs, () => {
      socket.destroy()
      reject(new Error(`no end after ${patienceMs} ms: ${text}`))
    })
    const done = () => {
      cancel()
      resolve(text)
    }
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
    socket.on('error', done)
    socket.on('close', done)
    for (const piece of pieces) socket.write(piece)
    if (spoilt) socket.end()
  })
}

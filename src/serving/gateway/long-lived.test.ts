import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import type { RevisionTarget } from './feed.ts'
import { type Client, Fixture, get, signal, startApp } from './gateway.fixture.ts'

const upgrade = get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')
const switched =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

/** A tunnel whose app sends back what it gets. */
async function tunnel(revision: Partial<RevisionTarget>, settings = false) {
  const clock = new SimClock()
  const app = await startApp(
    ({ socket, raw }) => {
      raw(switched)
      socket.on('data', (bytes: Buffer) => socket.write(bytes))
    },
    { bodies: false },
  )
  const fixture = await Fixture.start({ clock, revision: { ...revision, backends: [app.backend] } })
  if (settings) fixture.gateway.receive({ type: 'settings', settings: { longLivedStreams: true } })
  const client = await fixture.client()
  await client.send(upgrade).until('\r\n\r\n')
  return {
    clock,
    client,
    async [Symbol.asyncDispose]() {
      client.socket.destroy()
      await fixture[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

const echoes = async (client: Client, text: string): Promise<void> => {
  client.send(text)
  assert.equal(await client.until(text), text)
}

describe('upgraded connections', () => {
  test('end with the total limit, as in Knative, whatever passes through them', async () => {
    await using world = await tunnel({ timeoutMs: 300_000, idleTimeoutMs: 0 })
    await world.clock.advance(299_000)
    await echoes(world.client, 'ping')
    await world.clock.advance(2000)
    await world.client.closed
  })

  test('are free of it when the revision asks for it', async () => {
    await using world = await tunnel({ timeoutMs: 300_000, longLivedStreams: true })
    await world.clock.advance(3_600_000)
    await echoes(world.client, 'still here')
  })

  test('or when the cluster does, unless the revision says otherwise', async () => {
    await using free = await tunnel({ timeoutMs: 300_000 }, true)
    await free.clock.advance(3_600_000)
    await echoes(free.client, 'still here')
    await using bound = await tunnel({ timeoutMs: 300_000, longLivedStreams: false }, true)
    await bound.clock.advance(301_000)
    await bound.client.closed
  })

  test('then their bytes count for the idle limit, which remains', async () => {
    await using world = await tunnel({
      timeoutMs: 300_000,
      idleTimeoutMs: 60_000,
      longLivedStreams: true,
    })
    for (let minutes = 0; minutes < 10; minutes++) {
      await world.clock.advance(50_000)
      await echoes(world.client, `message ${minutes}`)
    }
    await world.clock.advance(61_000)
    await world.client.closed
  })
})

test('event streams are long-lived too, other answers are not', async () => {
  const clock = new SimClock()
  const waiting = signal()
  await using app = await startApp(({ head, raw }) => {
    raw(
      `HTTP/1.1 200 OK\r\nContent-Type: ${head.target === '/events' ? 'text/event-stream; charset=utf-8' : 'text/plain'}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n`,
    )
    if (head.target !== '/events') waiting.resolve()
  })
  await using fixture = await Fixture.start({
    clock,
    revision: { backends: [app.backend], timeoutMs: 300_000, longLivedStreams: true },
  })
  const events = await fixture.client()
  await events.send(get('/events')).until('part')
  const plain = fixture.request(get('/other'))
  await waiting.promise
  await clock.advance(301_000)
  assert.equal((await plain).body, 'partrequest timeout')
  for (const socket of app.sockets) socket.write('4\r\nmore\r\n')
  await events.until('more')
  events.socket.destroy()
})

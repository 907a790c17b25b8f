/** The three time limits as Knative's users see them, for both protocols, event streams and upgraded connections. */
import assert from 'node:assert/strict'
import { type ClientHttp2Stream, connect } from 'node:http2'
import { connect as dial, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import type { GatewaySettings, RevisionTarget } from './feed.ts'
import {
  type App,
  type AppRequest,
  type Client,
  Fixture,
  get,
  host,
  signal,
  startApp,
} from './gateway.fixture.ts'

interface World extends AsyncDisposable {
  readonly app: App
  readonly clock: SimClock
  readonly fixture: Fixture
  /** The requests that came to the app, one after the other. */
  arrived(): Promise<AppRequest>
}

async function world(
  revision: Partial<RevisionTarget>,
  settings?: GatewaySettings,
  bodies = true,
): Promise<World> {
  const clock = new SimClock()
  const requests: AppRequest[] = []
  let more = signal()
  const app = await startApp(
    (request) => {
      requests.push(request)
      more.resolve()
    },
    { bodies },
  )
  const fixture = await Fixture.start({ clock, revision: { ...revision, backends: [app.backend] } })
  if (settings) fixture.gateway.receive({ type: 'settings', settings })
  return {
    app,
    clock,
    fixture,
    async arrived() {
      while (requests.length === 0) {
        await more.promise
        more = signal()
      }
      return requests.shift()!
    },
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

/** A request of either protocol, and what has come back so far. */
interface Asked extends Disposable {
  status: number
  body: string
  /** Ended whole, broke off, or still open. */
  end: 'open' | 'whole' | 'broken'
}

async function ask(fixture: Fixture, protocol: 'HTTP/1' | 'HTTP/2'): Promise<Asked> {
  if (protocol === 'HTTP/2') {
    const session = connect(`http://127.0.0.1:${fixture.gateway.http.port}`)
    session.on('error', () => {})
    const stream: ClientHttp2Stream = session.request({ ':authority': host, ':path': '/' })
    const asked: Asked = {
      status: 0,
      body: '',
      end: 'open',
      [Symbol.dispose]: () => session.destroy(),
    }
    stream.on('error', () => (asked.end = 'broken'))
    stream.on('response', (headers) => (asked.status = headers[':status'] ?? 0))
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => (asked.body += text))
    stream.on('end', () => {
      if (asked.end === 'open' && stream.rstCode === 0) asked.end = 'whole'
    })
    return asked
  }
  const client = await fixture.client()
  const asked: Asked = {
    status: 0,
    body: '',
    end: 'open',
    [Symbol.dispose]: () => client.socket.destroy(),
  }
  client.socket.on('data', (bytes: Buffer) => {
    asked.body += bytes.toString('latin1')
    asked.status ||= Number(/^HTTP\/1\.1 (\d+)/.exec(asked.body)?.[1] ?? 0)
    if (asked.body.endsWith('0\r\n\r\n') || asked.body.endsWith('request timeout'))
      asked.end = 'whole'
  })
  client.socket.on('close', () => {
    if (asked.end === 'open') asked.end = 'broken'
  })
  client.send(get())
  return asked
}

/** Gives sockets time, but not the clock, until this is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle(1)
}

for (const protocol of ['HTTP/1', 'HTTP/2'] as const)
  describe(`${protocol}: limits`, { timeout: 20_000 }, () => {
    const inFlight = (w: World): number => [...w.fixture.gateway.view().revisions][0]!.inFlight

    for (const [name, limits] of Object.entries({
      timeoutSeconds: { timeoutMs: 3000 },
      responseStartTimeoutSeconds: { responseStartTimeoutMs: 3000 },
      idleTimeoutSeconds: { idleTimeoutMs: 3000 },
    }))
      test(`${name}, nothing answered: 504 request timeout, and the pod's request ends`, async () => {
        await using w = await world(limits)
        using asked = await ask(w.fixture, protocol)
        await w.arrived()
        await w.clock.advance(2900)
        assert.equal(asked.status, 0)
        await w.clock.advance(200)
        await until(() => asked.end !== 'open' || asked.status > 0)
        await until(() => /request timeout/.test(asked.body))
        assert.equal(asked.status, 504)
        await until(() => w.app.sockets.size === 0)
        assert.equal(inFlight(w), 0)
      })

    test('time is up in the middle of the answer: the text is appended, or the body is cut', async () => {
      await using w = await world({ timeoutMs: 3000 })
      using open = await ask(w.fixture, protocol)
      const chunks = await w.arrived()
      using sized = await ask(w.fixture, protocol)
      const length = await w.arrived()
      chunks.raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n')
      length.raw('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart')
      await until(() => open.body.includes('part') && sized.body.includes('part'))
      await w.clock.advance(3200)
      await until(() => open.end !== 'open' && sized.end !== 'open')
      assert.deepEqual([open.end, sized.end], ['whole', 'broken'])
      assert.match(open.body, /part(\r\nf\r\n)?request timeout/)
      assert.doesNotMatch(sized.body, /timeout/)
      assert.equal(inFlight(w), 0)
    })

    test('events are flushed one by one, and end with the total limit as in Knative', async () => {
      await using w = await world({ timeoutMs: 3000 })
      using asked = await ask(w.fixture, protocol)
      const request = await w.arrived()
      request.raw(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
      await until(() => asked.status === 200)
      for (let i = 0; i < 5; i++) {
        request.raw(`9\r\ndata: ${i}\n\n\r\n`)
        await until(() => asked.body.includes(`data: ${i}\n\n`))
      }
      await w.clock.advance(3200)
      await until(() => asked.end !== 'open')
      assert.match(asked.body, /request timeout/)
    })

    for (const [name, revision, settings, free] of [
      ['the revision says so', { longLivedStreams: true }, undefined, true],
      ['the cluster says so', {}, { longLivedStreams: true }, true],
      [
        'the revision does not want what the cluster has',
        { longLivedStreams: false },
        { longLivedStreams: true },
        false,
      ],
      ['neither says so', {}, { longLivedStreams: false }, false],
    ] as const)
      test(`event streams are free of the total limit: ${name}`, async () => {
        await using w = await world({ timeoutMs: 3000, idleTimeoutMs: 2000, ...revision }, settings)
        using asked = await ask(w.fixture, protocol)
        const request = await w.arrived()
        request.raw(
          'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n',
        )
        await until(() => asked.status === 200)
        for (let i = 0; i < 6; i++) {
          if (!request.socket.destroyed) request.raw(`9\r\ndata: ${i}\n\n\r\n`)
          await settle(20)
          await w.clock.advance(1000)
        }
        await settle(20)
        assert.equal(asked.end, free ? 'open' : 'whole')
        assert.equal(asked.body.includes('data: 5'), free)
        // The idle limit stays.
        await w.clock.advance(2200)
        await until(() => asked.end !== 'open')
        assert.match(asked.body, /request timeout/)
      })

    test('other answers are not free, whatever is said', async () => {
      await using w = await world({ timeoutMs: 3000, longLivedStreams: true })
      using asked = await ask(w.fixture, protocol)
      ;(await w.arrived()).raw(
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n',
      )
      await until(() => asked.status === 200)
      await w.clock.advance(3200)
      await until(() => asked.end === 'whole')
    })
  })

describe('upgraded connections', { timeout: 20_000 }, () => {
  async function tunnel(
    w: World,
  ): Promise<{ client: Client; request: AppRequest; closed: () => boolean }> {
    const client = await w.fixture.client()
    client.send(get('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'))
    const request = await w.arrived()
    request.raw(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    )
    await client.until('\r\n\r\n')
    let closed = false
    client.socket.on('close', () => (closed = true))
    return { client, request, closed: () => closed }
  }
  const talk = async (
    w: World,
    up: boolean,
    client: Client,
    request: AppRequest,
  ): Promise<void> => {
    if (up) client.send('ping')
    else request.raw('pong')
    await settle(20)
    await w.clock.advance(1000)
  }

  test('live as long as timeoutSeconds, though bytes pass, as in Knative', async () => {
    await using w = await world({ timeoutMs: 3000 })
    const { client, request, closed } = await tunnel(w)
    for (let i = 0; i < 2; i++) await talk(w, i % 2 === 0, client, request)
    assert.equal(closed(), false)
    await w.clock.advance(1200)
    await until(closed)
    await until(() => w.app.sockets.size === 0)
  })

  test('bytes do not count for the idle limit, as in Knative', async () => {
    await using w = await world({ idleTimeoutMs: 3000 })
    const { client, request, closed } = await tunnel(w)
    for (let i = 0; i < 2; i++) await talk(w, i % 2 === 0, client, request)
    await w.clock.advance(1200)
    await until(closed)
  })

  for (const [name, revision, settings] of [
    ['by the revision', { longLivedStreams: true }, undefined],
    ['by the cluster', {}, { longLivedStreams: true }],
  ] as const)
    test(`freed ${name}: no total limit, and bytes of either side count for the idle one`, async () => {
      await using w = await world({ timeoutMs: 3000, idleTimeoutMs: 2000, ...revision }, settings)
      const { client, request, closed } = await tunnel(w)
      for (let i = 0; i < 4; i++) await talk(w, true, client, request)
      for (let i = 0; i < 4; i++) await talk(w, false, client, request)
      assert.equal(closed(), false)
      await w.clock.advance(2200)
      await until(closed)
      await until(() => w.app.sockets.size === 0)
      assert.equal([...w.fixture.gateway.view().revisions][0]!.inFlight, 0)
    })

  test('freed without an idle limit they stay', async () => {
    await using w = await world({ timeoutMs: 3000, longLivedStreams: true })
    const { client, request, closed } = await tunnel(w)
    await w.clock.advance(400_000)
    request.raw('still here')
    await client.until('still here')
    assert.equal(closed(), false)
    client.socket.destroy()
  })
})

describe('slow clients', { timeout: 20_000 }, () => {
  test('a body that trickles ends with the total limit, and frees the slot', async () => {
    await using w = await world({ timeoutMs: 10_000, containerConcurrency: 1 }, undefined, false)
    const client = await w.fixture.client()
    client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\n`)
    await w.arrived()
    for (let i = 0; i < 9; i++) {
      client.send('x')
      await w.clock.advance(1000)
    }
    assert.equal([...w.fixture.gateway.view().revisions][0]!.inFlight, 1)
    await w.clock.advance(1200)
    assert.equal((await client.response('POST')).status, 504)
    assert.equal([...w.fixture.gateway.view().revisions][0]!.inFlight, 0)
    client.socket.destroy()
  })

  test('who sends a body that nobody wants may finish it before reading the answer, but not for ever', async () => {
    const clock = new SimClock()
    await using fixture = await Fixture.start({ clock })
    const open = (): number => fixture.gateway.view().gateway.connections
    const head = `POST / HTTP/1.1\r\nHost: unknown.example.com\r\nContent-Length: 1000000000\r\n\r\n`
    // Node's sockets end with the other side, unless they are told not to.
    const start = (): Socket => {
      const socket = dial({
        port: fixture.gateway.http.port,
        host: '127.0.0.1',
        noDelay: true,
        allowHalfOpen: true,
      })
      socket.on('error', () => {})
      socket.write(head)
      return socket
    }
    const endless = start()
    const silent = start()
    const patient = start()
    await until(() => open() === 3)
    await settle(20)
    for (let i = 0; i < 10; i++) {
      endless.write('x'.repeat(10_000))
      patient.write('x'.repeat(10_000))
      await settle(10)
      await clock.advance(1000)
      if (i > 3) assert.equal(open(), 2, `${open()} after ${i + 1} s`)
    }
    let answer = ''
    patient.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')))
    await until(() => answer.includes('\r\n\r\n'))
    assert.match(answer, /^HTTP\/1\.1 404 /)
    patient.end()
    await until(() => open() === 1)
    for (let i = 0; i < 24; i++) {
      endless.write('x'.repeat(10_000))
      await settle(10)
      await clock.advance(1000)
    }
    await until(() => open() === 0)
    for (const socket of [endless, silent, patient]) socket.destroy()
  })

  test('heads that trickle: each has headTimeoutMs from its first byte, bytes do not buy time', async () => {
    const clock = new SimClock()
    await using fixture = await Fixture.start({ clock })
    const clients = await Promise.all(Array.from({ length: 30 }, () => fixture.client()))
    for (const client of clients) client.send('GET / HTTP/1.1\r\n')
    await settle(20)
    for (let i = 0; i < 11; i++) {
      for (const client of clients) client.send(`X-${i}: y\r\n`)
      await clock.advance(5000)
    }
    await settle(20)
    assert.equal(fixture.gateway.view().gateway.connections, 30)
    await clock.advance(5200)
    for (const client of clients) {
      assert.equal((await client.response()).status, 408)
      client.socket.destroy()
    }
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AppRequest, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

const hello = ({ answer }: AppRequest) => answer('hello')

describe('connections', () => {
  test('both sides are kept alive, and pipelined requests are answered in order', async () => {
    await using app = await startApp(({ head, answer }) => answer(head.target))
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(Array.from({ length: 50 }, (_, i) => get(`/${i}`)).join(''))
    for (let i = 0; i < 50; i++) assert.equal((await client.response()).body, `/${i}`)
    client.send(get('/last', 'Connection: close\r\n'))
    const last = await client.response()
    assert.equal(last.body, '/last')
    assert.equal(last.headers.get('connection'), 'close')
    assert.equal(await client.rest(), '')
    assert.equal(app.connections, 1)
  })

  test('a resting connection that the pod closed is replaced, for what may be sent twice', async () => {
    await using app = await startApp(({ answer, socket }) => {
      answer('hello')
      // As if the next request crossed with the pod's close.
      socket.removeAllListeners('data')
      socket.once('data', () => socket.destroy())
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    assert.equal((await fixture.request(get())).status, 200)
    assert.equal((await fixture.request(get())).status, 200)
    assert.equal(app.connections, 2)
    const post = `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1\r\n\r\nx`
    assert.equal((await fixture.request(post)).status, 502)
  })

  test('a refused connection means nothing was sent: another pod takes any request', async () => {
    const gone = await startApp(hello)
    const { backend } = gone
    await gone[Symbol.asyncDispose]()
    await using app = await startApp((request) => request.answer(request.body))
    await using fixture = await Fixture.start({ revision: { containerConcurrency: 1 } })
    const post = (text: string) =>
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${text.length}\r\n\r\n${text}`
    fixture.revision({ containerConcurrency: 1, backends: [backend, app.backend] })
    for (const text of ['one', 'two', 'three'])
      assert.equal((await fixture.request(post(text))).body, text)
  })

  test('a pod that refuses is waited for', async () => {
    const gone = await startApp(hello)
    const { backend } = gone
    await gone[Symbol.asyncDispose]()
    await using fixture = await Fixture.start({ revision: { backends: [backend] } })
    const pending = fixture.request(get())
    await using app = await startApp(hello, { port: backend.port })
    assert.equal((await pending).body, 'hello')
    assert.equal(app.connections, 1)
  })

  test('a pod that dies: 502 before the response, cut in the middle of it', async () => {
    await using app = await startApp(({ head, socket, raw }) => {
      if (head.target === '/partly') raw('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
      socket.end()
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const none = await fixture.request(get())
    assert.equal(none.status, 502)
    const partly = await fixture.request(get('/partly'))
    assert.deepEqual([partly.status, partly.body, partly.whole], [200, 'half', false])
    assert.equal((await fixture.request(get('/'))).status, 502)
  })

  test('a pod that answers nonsense: 502', async () => {
    await using app = await startApp(({ raw }) => raw('SMTP 220 hello\r\n\r\n'))
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    assert.match((await fixture.request(get())).body, /bad response of the pod/)
  })

  test('when the client leaves, so does the request', async () => {
    const arrived = signal<AppRequest>()
    await using app = await startApp(arrived.resolve)
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(get())
    const { socket } = await arrived.promise
    const closed = new Promise((resolve) => socket.once('close', resolve))
    client.socket.destroy()
    await closed
  })

  test('drain: nothing new goes there, and the answer comes with the last response', async () => {
    const arrived = signal<AppRequest>()
    await using old = await startApp(arrived.resolve)
    await using fresh = await startApp(({ answer }) => answer('fresh'))
    await using fixture = await Fixture.start({ revision: { backends: [old.backend] } })
    const { gateway } = fixture
    const drained = (id: number) =>
      fixture.messages.some((message) => message.type === 'drained' && message.id === id)
    const pending = fixture.request(get())
    const request = await arrived.promise
    gateway.receive({ type: 'drain', id: 1, host: old.backend.host, port: old.backend.port })
    fixture.revision({ backends: [old.backend, fresh.backend] })
    for (let i = 0; i < 20; i++) assert.equal((await fixture.request(get())).body, 'fresh')
    assert.equal(drained(1), false)
    fixture.revision({ backends: [fresh.backend] })
    request.answer('old')
    assert.equal((await pending).body, 'old')
    assert.equal(drained(1), true)
    gateway.receive({ type: 'drain', id: 2, host: '127.0.0.1', port: 1 })
    assert.equal(drained(2), true)
  })

  test('stop finishes what is in flight, refuses what is new, and closes', async () => {
    const arrived = signal<AppRequest>()
    await using app = await startApp(arrived.resolve)
    const fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(get())
    const request = await arrived.promise
    const stopped = fixture.gateway.stop(10_000)
    await assert.rejects(fixture.client())
    request.answer('finished')
    const answer = await client.response()
    assert.equal(answer.body, 'finished')
    assert.equal(answer.headers.get('connection'), 'close')
    await stopped
  })
})

describe('messages', () => {
  test('chunks, extensions and trailers pass as they are', async () => {
    const body = '3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n'
    const seen = signal<string>()
    await using app = await startApp(
      ({ socket, raw }) => {
        let text = ''
        socket.on('data', (bytes: Buffer) => {
          text += bytes.toString()
          if (!text.endsWith('\r\n\r\n')) return
          seen.resolve(text)
          raw(body)
        })
        raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    await client.until('\r\n\r\n')
    client.send(body)
    assert.equal(await seen.promise, body)
    assert.equal(await client.until('T: u\r\n\r\n'), body)
    client.socket.destroy()
  })

  test("Expect: 100-continue is the pod's to answer", async () => {
    await using app = await startApp(
      (request) => {
        request.raw('HTTP/1.1 100 Continue\r\n\r\n')
        request.socket.once('data', (bytes: Buffer) => request.answer(bytes.toString()))
      },
      { bodies: false },
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`,
    )
    await client.until('HTTP/1.1 100 Continue\r\n\r\n')
    client.send('body')
    assert.equal((await client.response()).body, 'body')
    client.socket.destroy()
  })

  test('HEAD, 204 and 304 have no body, whatever their headers say', async () => {
    await using app = await startApp(({ head, raw }) =>
      raw(
        head.method === 'HEAD'
          ? 'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n'
          : `HTTP/1.1 ${head.target.slice(1)} X\r\nContent-Length: 50\r\n\r\n`,
      ),
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(`HEAD / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    assert.equal((await client.response('HEAD')).headers.get('content-length'), '50')
    assert.equal((await client.send(get('/204')).response()).status, 204)
    assert.equal((await client.send(get('/304')).response()).status, 304)
    client.socket.destroy()
    assert.equal(app.connections, 1)
  })

  test('an HTTP/1.0 client gets no chunks', async () => {
    await using app = await startApp(({ raw }) =>
      raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n'),
    )
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`)
    assert.match(await client.rest(), /\r\n\r\nabcdef$/)
  })

  test('a response without length ends with its connection', async () => {
    await using app = await startApp(({ raw, socket }) => {
      raw('HTTP/1.1 200 OK\r\n\r\nuntil the end')
      socket.end()
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(get())
    const answer = await client.response()
    assert.equal(answer.headers.get('connection'), 'close')
    assert.equal(answer.body, 'until the end')
  })

  test('an upgrade becomes a tunnel both ways, early bytes included, and ends with either side', async () => {
    await using app = await startApp(({ socket, raw }) => {
      socket.removeAllListeners('data')
      raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi ')
      socket.on('data', (bytes: Buffer) => socket.write(bytes))
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const client = await fixture.client()
    client.send(get('/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
    assert.match(
      await client.until('\r\n\r\n'),
      /101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/,
    )
    await client.until('hi ')
    client.send('echo me')
    await client.until('echo me')
    client.socket.end('last words')
    assert.equal(await client.rest(), 'last words')
  })

  test('probes are answered here and wake nothing', async () => {
    await using app = await startApp(() => assert.fail('a probe reached the app'))
    await using fixture = await Fixture.start()
    const probe = (lines: string) => fixture.request(get('/', lines))
    const hashed = await probe('K-Network-Probe: probe\r\nK-Network-Hash: override\r\n')
    assert.deepEqual([hashed.status, hashed.headers.get('k-network-hash')], [200, 'cafe'])
    const echoed = await probe('K-Network-Probe: probe\r\nK-Network-Hash: other\r\n')
    assert.equal(echoed.headers.get('k-network-hash'), 'other')
    const bare = await probe('K-Network-Probe: probe\r\n')
    assert.equal(bare.status, 400)
    assert.equal(bare.body, 'a probe request must contain a non-empty "K-Network-Hash" header')
    assert.equal((await probe('K-Network-Probe: activator\r\n')).body, 'activator')
    const cold = await probe('K-Network-Probe: queue\r\n')
    assert.deepEqual([cold.status, cold.body], [400, 'unexpected probe header value: "queue"'])
    assert.equal((await probe('User-Agent: kube-probe/1.33\r\n')).status, 200)
    assert.equal((await probe('K-Kubelet-Probe: queue\r\n')).status, 200)
    const unknown =
      'GET / HTTP/1.1\r\nHost: x\r\nK-Network-Probe: probe\r\nK-Network-Hash: a\r\n\r\n'
    assert.equal((await fixture.request(unknown)).status, 404)
    assert.deepEqual(
      fixture.messages.filter(({ type }) => type !== 'ack'),
      [],
    )
    fixture.revision({ backends: [app.backend] })
    assert.equal((await probe('K-Network-Probe: queue\r\n')).body, 'queue')
  })

  test('metrics name what was served', async () => {
    await using app = await startApp(hello)
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    await fixture.request(get())
    const { Client } = await import('./gateway.fixture.ts')
    const client = await Client.open(fixture.gateway.admin!.port)
    const { body } = await client.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n').response()
    client.socket.destroy()
    assert.match(
      body,
      /kn_serving_invocation_duration_seconds_count\{k8s_namespace_name="ns",kn_service_name="app",kn_configuration_name="app",kn_revision_name="rev",http_response_status_code="200"\} 1\n/,
    )
  })
})

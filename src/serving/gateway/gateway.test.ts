import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SimClock, settle } from '../../testing/sim-clock.ts'
import type { RevisionStat } from './feed.ts'
import { type AppRequest, Client, Fixture, get, host, signal, startApp } from './gateway.fixture.ts'

const hello = ({ answer }: AppRequest) => answer('hello')
const statsOf = (fixture: Fixture): RevisionStat[] =>
  fixture.messages.flatMap((message) => (message.type === 'stats' ? message.stats : []))

describe('routing', () => {
  test('a request goes to the pod, with its headers, and comes back', async () => {
    const seen: AppRequest[] = []
    await using app = await startApp((request) => {
      seen.push(request)
      request.answer('hello', 'X-App: yes\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n')
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    const response = await fixture.request(
      get('/a?b', 'X-Mine: 1\r\nKnative-Serving-Revision: x\r\n'),
    )
    assert.equal(response.status, 200)
    assert.equal(response.body, 'hello')
    assert.deepEqual([...response.headers.keys()], ['x-app', 'content-length'])
    const head = seen[0]!.head
    assert.equal(head.target, '/a?b')
    assert.equal(head.host, host)
    assert.ok(head.names.includes('X-Mine'))
    assert.ok(!head.names.includes('Knative-Serving-Revision'))
    assert.equal(head.values[head.names.indexOf('X-Forwarded-For')], '127.0.0.1')
  })

  test('unknown hosts, paths and revisions are told apart', async () => {
    await using fixture = await Fixture.start({
      paths: [{ path: '/known', splits: [{ revision: 'ns/gone', percent: 100 }] }],
    })
    const unknown = await fixture.request('GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n')
    assert.equal(unknown.status, 404)
    assert.match(unknown.body, /no service has the host "nowhere"/)
    assert.match((await fixture.request(get('/x'))).body, /takes this path/)
    const gone = await fixture.request(get('/known'))
    assert.equal(gone.status, 404)
    assert.equal(
      gone.body,
      'Error getting active endpoint: revisions.serving.knative.dev "gone" not found',
    )
  })

  test('cluster-local hosts, revision hosts and the header pair are for local callers', async () => {
    await using app = await startApp(hello)
    await using fixture = await Fixture.start({
      revision: { backends: [app.backend] },
      http: '0.0.0.0',
    })
    const status = async (port: number, text: string) => {
      const client = await Client.open(port)
      const answer = await client.send(text).response()
      client.socket.destroy()
      return answer.status
    }
    const at = (name: string) => `GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`
    const pair = `GET / HTTP/1.1\r\nHost: x\r\nKnative-Serving-Revision: rev\r\nKnative-Serving-Namespace: ns\r\n\r\n`
    const { http, local } = fixture.gateway
    for (const text of [at('app.ns'), at('rev.ns'), at('rev.ns.svc.cluster.local:80'), pair]) {
      assert.equal(await status(http.port, text), 404, text)
      assert.equal(await status(local.port, text), 200, text)
    }
    assert.equal(await status(local.port, get()), 200)
    await using onLoopback = await Fixture.start({ revision: { backends: [app.backend] } })
    assert.equal(await status(onLoopback.gateway.http.port, at('APP.ns:8080')), 200)
  })

  test('80 : 20 is exact over 200 requests at once', async () => {
    const counts = { old: 0, new: 0 }
    await using older = await startApp(({ answer }) => (counts.old++, answer('old')))
    await using newer = await startApp(({ answer }) => (counts.new++, answer('new')))
    await using fixture = await Fixture.start({
      paths: [
        {
          splits: [
            { revision: 'ns/old', percent: 80 },
            { revision: 'ns/new', percent: 20 },
          ],
        },
      ],
    })
    fixture.revision({ key: 'ns/old', backends: [older.backend] })
    fixture.revision({ key: 'ns/new', backends: [newer.backend] })
    const answers = await Promise.all(Array.from({ length: 200 }, () => fixture.request(get())))
    assert.ok(answers.every(({ status }) => status === 200))
    assert.deepEqual(counts, { old: 160, new: 40 })
  })

  test('a full sync forgets what it does not name; a change before its sync does not route', async () => {
    await using app = await startApp(hello)
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    fixture.gateway.receive({ type: 'ingress-gone', key: 'ns/app' })
    assert.equal((await fixture.request(get())).status, 200)
    fixture.gateway.receive({ type: 'sync', version: 77 })
    assert.deepEqual(fixture.messages.at(-1), { type: 'ack', version: 77 })
    assert.equal((await fixture.request(get())).status, 404)
    fixture.gateway.receive({ type: 'reset' })
    assert.equal((await fixture.request('GET / HTTP/1.1\r\nHost: rev.ns\r\n\r\n')).status, 200)
    fixture.gateway.receive({ type: 'sync', version: 78 })
    assert.equal((await fixture.request('GET / HTTP/1.1\r\nHost: rev.ns\r\n\r\n')).status, 404)
  })

  test('a request that comes before the first snapshot is served by it', async () => {
    await using app = await startApp(({ answer }) => answer('hello'))
    await using fixture = await Fixture.start({ uninformed: true })
    const early = fixture.request(get())
    fixture.inform({ backends: [app.backend] })
    assert.equal((await early).status, 200)
  })

  test('without a snapshot requests are answered in the end, and who left by then is forgotten', async () => {
    const clock = new SimClock()
    await using fixture = await Fixture.start({ uninformed: true, clock })
    const left = await fixture.client()
    left.socket.destroy()
    const early = fixture.request(get())
    await clock.advance(10_000)
    assert.equal((await early).status, 404)
  })
})

describe('waking from zero', () => {
  test('500 requests at once are held, wake once, and are served once each', async () => {
    const served = new Map<string, number>()
    await using app = await startApp(({ head, answer }) => {
      served.set(head.target, (served.get(head.target) ?? 0) + 1)
      answer(head.target)
    })
    await using fixture = await Fixture.start()
    const answers = Array.from({ length: 500 }, async (_, i) => {
      const { status, body } = await fixture.request(get(`/${i}`))
      assert.equal(status, 200)
      assert.equal(body, `/${i}`)
    })
    await fixture.message(({ type }) => type === 'wake')
    fixture.revision({ backends: [app.backend] })
    await Promise.all(answers)
    assert.equal(served.size, 500)
    assert.ok([...served.values()].every((count) => count === 1))
    assert.equal(fixture.messages.filter(({ type }) => type === 'wake').length, 1)
  })

  test('it wakes again after a second, after having had a pod, and for a new control plane', async () => {
    const clock = new SimClock()
    await using app = await startApp(hello)
    await using fixture = await Fixture.start({ clock })
    const wakes = () => fixture.messages.filter(({ type }) => type === 'wake').length
    const held = [fixture.request(get())]
    await fixture.message(({ type }) => type === 'wake')
    const arrived = async (count: number) => {
      held.push(fixture.request(get()))
      // The metrics say when the request has arrived.
      for (;;) {
        const client = await Client.open(fixture.gateway.admin!.port)
        const { body } = await client.send('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n').response()
        client.socket.destroy()
        if (body.includes(`ebb_gateway_waiting ${count}\n`)) return
      }
    }
    await arrived(2)
    assert.equal(wakes(), 1)
    await clock.advance(1000)
    await arrived(3)
    assert.equal(wakes(), 2)
    const again: unknown[] = []
    fixture.gateway.listen((message) => again.push(message))
    assert.deepEqual(again, [{ type: 'wake', revision: 'ns/rev' }])
    fixture.revision({ backends: [app.backend] })
    for (const answer of held) assert.equal((await answer).status, 200)
    fixture.revision({ backends: [] })
    const last = fixture.request(get())
    while (again.filter((message) => (message as { type: string }).type === 'wake').length < 2)
      await settle()
    fixture.revision({ backends: [app.backend] })
    assert.equal((await last).status, 200)
  })

  test('the queue is bounded: 503 with Retry-After beyond, and a client that leaves makes room', async () => {
    await using app = await startApp(hello)
    await using fixture = await Fixture.start({ limits: { queuePerRevision: 2 } })
    const first = await fixture.client()
    first.send(get())
    const second = await fixture.client()
    second.send(get())
    let full = await fixture.request(get())
    while (full.status !== 503) full = await fixture.request(get())
    assert.equal(full.body, 'pending request queue full')
    assert.equal(full.headers.get('retry-after'), '1')
    first.socket.destroy()
    const third = await fixture.client()
    let answer: string | undefined
    const reply = third.send(get()).response()
    void reply.then(({ status }) => (answer = `${status}`))
    await settle(20)
    if (answer === undefined) {
      fixture.revision({ backends: [app.backend] })
      assert.equal((await reply).status, 200)
    } else assert.equal(answer, '503') // it came before the first was seen to leave
    fixture.revision({ backends: [app.backend] })
    assert.equal((await second.response()).status, 200)
    third.socket.destroy()
    second.socket.destroy()
  })

  test('who waits for a revision that is deleted is told', async () => {
    await using fixture = await Fixture.start()
    const held = fixture.request(get())
    await fixture.message(({ type }) => type === 'wake')
    fixture.gateway.receive({ type: 'revision-gone', key: 'ns/rev' })
    fixture.gateway.receive({ type: 'sync', version: 9 })
    assert.equal((await held).status, 404)
  })

  test('a body that came while the request was held goes with it', async () => {
    const body = 'x'.repeat(300_000)
    await using app = await startApp((request) => request.answer(`${request.body.length}`))
    await using fixture = await Fixture.start()
    const client = await fixture.client()
    client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await fixture.message(({ type }) => type === 'wake')
    fixture.revision({ backends: [app.backend] })
    assert.equal((await client.response()).body, '300000')
    client.socket.destroy()
  })
})

describe('limits', () => {
  test('containerConcurrency 1 over two pods: never two at once at one, all served in order of arrival', async () => {
    const busy = [0, 0]
    let most = 0
    const serve =
      (pod: number) =>
      ({ answer }: AppRequest) => {
        most = Math.max(most, ++busy[pod]!)
        setImmediate(() => {
          busy[pod]!--
          answer('done')
        })
      }
    await using first = await startApp(serve(0))
    await using second = await startApp(serve(1))
    await using fixture = await Fixture.start({
      revision: { containerConcurrency: 1, backends: [first.backend, second.backend] },
    })
    const answers = await Promise.all(Array.from({ length: 300 }, () => fixture.request(get())))
    assert.ok(answers.every(({ status }) => status === 200))
    assert.equal(most, 1)
  })

  test('a slot is free again when its client leaves', async () => {
    const arrived = signal()
    let count = 0
    await using app = await startApp(({ answer }) => {
      if (count++ === 0) arrived.resolve()
      else answer('second')
    })
    await using fixture = await Fixture.start({
      revision: { containerConcurrency: 1, backends: [app.backend] },
    })
    const first = await fixture.client()
    first.send(get())
    await arrived.promise
    const second = fixture.request(get())
    first.socket.destroy()
    assert.equal((await second).body, 'second')
  })
})

describe('time', () => {
  const stuck = async (revision: object, onRequest: (request: AppRequest) => void = () => {}) => {
    const clock = new SimClock()
    const arrived = signal()
    const app = await startApp((request) => {
      onRequest(request)
      arrived.resolve()
    })
    const fixture = await Fixture.start({
      clock,
      revision: { backends: [app.backend], ...revision },
    })
    const client = await fixture.client()
    client.send(get())
    await arrived.promise
    return {
      clock,
      app,
      client,
      async [Symbol.asyncDispose]() {
        client.socket.destroy()
        await fixture[Symbol.asyncDispose]()
        await app[Symbol.asyncDispose]()
      },
    }
  }

  test('nothing answered within timeoutSeconds: 504 request timeout, and the pod is let go', async () => {
    await using world = await stuck({ timeoutMs: 10_000 })
    await world.clock.advance(9_900)
    await world.clock.advance(200)
    const { status, body } = await world.client.response()
    assert.deepEqual([status, body], [504, 'request timeout'])
    while (world.app.sockets.size > 0) await settle()
  })

  test('nothing answered within responseStartTimeoutSeconds: 504', async () => {
    await using world = await stuck({ responseStartTimeoutMs: 2000 })
    await world.clock.advance(2100)
    assert.equal((await world.client.response()).status, 504)
  })

  test('once it has begun, the response start timeout does not count, the whole one does', async () => {
    await using world = await stuck({ responseStartTimeoutMs: 1000, timeoutMs: 5000 }, ({ raw }) =>
      raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'),
    )
    await world.client.until('part')
    await world.clock.advance(4900)
    await world.clock.advance(200)
    assert.equal(await world.client.until('0\r\n\r\n'), '\r\nf\r\nrequest timeout\r\n0\r\n\r\n')
  })

  test('a body of announced length is cut', async () => {
    await using world = await stuck({ timeoutMs: 5000 }, ({ raw }) =>
      raw('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart'),
    )
    await world.client.until('part')
    await world.clock.advance(5100)
    assert.equal(await world.client.rest(), '')
  })

  test('idleTimeoutSeconds counts from the last byte', async () => {
    let app: AppRequest | undefined
    await using world = await stuck({ idleTimeoutMs: 2000 }, (request) => {
      app = request
      request.raw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    })
    await world.client.until('a\r\n')
    await world.clock.advance(1900)
    app?.raw('1\r\nb\r\n')
    await world.client.until('b\r\n')
    await world.clock.advance(1900)
    app?.raw('1\r\nc\r\n')
    await world.client.until('c\r\n')
    await world.clock.advance(2100)
    await world.client.until('request timeout')
  })

  test('held too long: 504', async () => {
    const clock = new SimClock()
    await using fixture = await Fixture.start({ clock, revision: { timeoutMs: 3000 } })
    const held = fixture.request(get())
    await fixture.message(({ type }) => type === 'wake')
    await clock.advance(3100)
    const { status, body } = await held
    assert.deepEqual([status, body], [504, 'activator request timeout'])
  })

  test('stats each second, then a zero, then silence', async () => {
    const clock = new SimClock()
    const arrived = signal<AppRequest>()
    await using app = await startApp(arrived.resolve)
    await using fixture = await Fixture.start({ clock, revision: { backends: [app.backend] } })
    const pending = fixture.request(get())
    const request = await arrived.promise
    await clock.advance(2000)
    request.answer('done')
    await pending
    await clock.advance(3000)
    const stat = (concurrency: number, requestCount: number): RevisionStat => ({
      revision: 'ns/rev',
      concurrency,
      requestCount,
      seconds: 1,
    })
    assert.deepEqual(statsOf(fixture), [stat(1, 1), stat(1, 0), stat(0, 0)])
  })

  test('slow heads get 408, idle connections end', async () => {
    const clock = new SimClock()
    await using fixture = await Fixture.start({ clock })
    const slow = await fixture.client()
    const idle = await fixture.client()
    slow.send('GET / HTTP/1.1\r\nHost:')
    await settle(10)
    await clock.advance(60_200)
    assert.equal((await slow.response()).status, 408)
    assert.equal(await idle.rest(), '')
  })
})

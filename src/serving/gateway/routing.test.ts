/** Routing with real sockets: what the route table decides, carried out. */
import assert from 'node:assert/strict'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { randomInt, seededRandom } from '../../lib/random.ts'
import type { Path, RevisionTarget, Rule, Split, ToGateway } from './feed.ts'
import {
  type App,
  Client,
  Fixture,
  get,
  host,
  revisionDefaults,
  signal,
  startApp,
} from './gateway.fixture.ts'

/** Answers with its name, the target and the Host it was asked for. */
const named = (name: string): Promise<App> =>
  startApp(({ head, answer }) => answer(`${name} ${head.method} ${head.target} ${head.host}`))

class Routing implements AsyncDisposable {
  readonly fixture: Fixture
  #version = 1000

  private constructor(fixture: Fixture) {
    this.fixture = fixture
  }

  static async start(): Promise<Routing> {
    return new Routing(await Fixture.start({ uninformed: true }))
  }

  tell(...messages: ToGateway[]): this {
    for (const message of messages) this.fixture.gateway.receive(message)
    this.fixture.gateway.receive({ type: 'sync', version: ++this.#version })
    return this
  }

  rules(...rules: Partial<Rule>[]): this {
    return this.tell({
      type: 'ingress',
      ingress: {
        key: 'ns/rules',
        hash: 'beef',
        rules: rules.map((rule) => ({
          hosts: [host],
          visibility: 'ExternalIP',
          paths: [],
          ...rule,
        })),
      },
    })
  }

  paths(...paths: Path[]): this {
    return this.rules({ paths })
  }

  target(key: string, apps: readonly App[], more: Partial<RevisionTarget> = {}): this {
    const backends = apps.map(({ backend }, i) => ({ ...backend, pod: `${key}-${i}` }))
    return this.tell({
      type: 'revision',
      revision: { ...revisionDefaults, key, backends, ...more },
    })
  }

  ask(path = '/', lines = '', to = host) {
    return this.fixture.request(`GET ${path} HTTP/1.1\r\nHost: ${to}\r\n${lines}\r\n`)
  }

  async bodies(count: number, path = '/', lines = ''): Promise<string[]> {
    const client = await this.fixture.client()
    const bodies: string[] = []
    for (let i = 0; i < count; i++)
      bodies.push((await client.send(get(path, lines)).response()).body)
    client.socket.destroy()
    return bodies
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.fixture[Symbol.asyncDispose]()
  }
}

const all = (split: Partial<Split>): readonly Split[] => [{ percent: 100, ...split }]

test('hosts: any case, port and last dot; wildcards behind exact ones, the longest first', async () => {
  await using app = await named('app')
  await using routing = await Routing.start()
  const direct = (name: string): Path => ({
    splits: all({ revision: 'ns/rev' }),
    appendHeaders: { 'x-rule': name },
    rewriteHost: name,
  })
  routing
    .target('ns/rev', [app])
    .rules(
      { hosts: ['*.example.com'], paths: [direct('wide')] },
      { hosts: ['*.b.example.com'], paths: [direct('narrow')] },
      { hosts: ['A.b.Example.com'], paths: [direct('exact')] },
      { hosts: ['only.local'], visibility: 'ClusterLocal', paths: [direct('local')] },
    )
  const rule = async (to: string): Promise<string | undefined> =>
    (await routing.ask('/', '', to)).body.split(' ')[3]
  assert.equal(await rule('a.B.example.COM:8080'), 'exact')
  assert.equal(await rule('a.b.example.com.'), 'exact')
  assert.equal(await rule('x.b.example.com'), 'narrow')
  assert.equal(await rule('x.y.b.example.com'), 'narrow')
  assert.equal(await rule('b.example.com'), 'wide')
  assert.equal((await routing.ask('/', '', 'example.com')).status, 404)
  assert.equal((await routing.ask('/', '', '[::1]:80')).status, 404)
  assert.equal(await rule('only.local'), 'local')
  routing.rules({ hosts: ['*'], paths: [direct('any')] })
  assert.equal(await rule('[::1]:80'), 'any')
})

test('a path may follow the routes of a host, changes add up, circles end', async () => {
  await using app = await startApp(({ head, answer }) =>
    answer(
      [head.target, head.host, ...head.names.map((name, i) => `${name}=${head.values[i]}`)].join(
        '\n',
      ),
      'X-App: 1\r\n',
    ),
  )
  await using routing = await Routing.start()
  routing.target('ns/rev', [app]).rules(
    {
      paths: [
        {
          path: '/api',
          pathType: 'prefix',
          filters: {
            rewritePath: { type: 'prefix', value: '/v1' },
            requestHeaders: { set: { 'X-Outer': 'o' }, remove: ['X-Secret'] },
            responseHeaders: { set: { 'X-Answer': 'outer' }, remove: ['X-App'] },
          },
          splits: all({ host: 'inner.ns' }),
        },
        { path: '/missing', splits: all({ host: 'nowhere.ns' }) },
        { path: '/circle', splits: all({ host: 'circle.ns' }) },
      ],
    },
    {
      hosts: ['circle.ns'],
      visibility: 'ClusterLocal',
      paths: [{ splits: all({ host: 'circle.ns' }) }],
    },
    {
      hosts: ['inner.ns'],
      visibility: 'ClusterLocal',
      paths: [
        {
          path: '/v1',
          headers: { 'x-outer': { exact: 'o' } },
          appendHeaders: { 'X-Inner': 'i' },
          splits: all({ revision: 'ns/rev' }),
        },
      ],
    },
  )
  const { status, body, headers } = await routing.ask(
    '/api/x?q',
    'X-Secret: s\r\nX-Outer: mine\r\n',
  )
  assert.equal(status, 200)
  const lines = body.split('\n')
  assert.deepEqual(lines.slice(0, 2), ['/v1/x?q', host])
  assert.ok(lines.includes('X-Inner=i') || lines.includes('x-inner=i'), body)
  assert.deepEqual(
    lines.filter((line) => /^x-(outer|secret)/i.test(line)).map((line) => line.toLowerCase()),
    ['x-outer=o'],
  )
  assert.equal(headers.get('x-answer'), 'outer')
  assert.equal(headers.get('x-app'), undefined)
  const missing = await routing.ask('/missing')
  assert.equal(missing.status, 503)
  assert.match(missing.body, /host "nowhere.ns", which is not known/)
  const circle = await routing.ask('/circle')
  assert.equal(circle.status, 508)
  assert.match(circle.body, /lead in a circle/)
})

test('core Services are not woken; nothing with weight is 500; rules can answer and redirect', async () => {
  await using app = await named('core')
  await using routing = await Routing.start()
  routing.target('ns/db:80', [], { kind: 'service' }).paths(
    { path: '/core', splits: all({ service: 'ns/db:80' }) },
    { path: '/unknown', splits: all({ service: 'ns/gone:81' }) },
    { path: '/zero', splits: [{ revision: 'ns/rev', percent: 0 }] },
    { path: '/bad', filters: { status: 500 }, splits: [] },
    {
      path: '/old',
      pathType: 'prefix',
      filters: {
        redirect: { scheme: 'https', path: { type: 'prefix', value: '/new' }, status: 308 },
      },
      splits: [],
    },
  )
  const down = await routing.ask('/core')
  assert.equal(down.status, 503)
  assert.match(down.body, /Service ns\/db:80 has no ready endpoints/)
  assert.equal((await routing.ask('/unknown')).status, 503)
  const zero = await routing.ask('/zero')
  assert.equal(zero.status, 500)
  assert.match(zero.body, /no backend of this route has a weight/)
  assert.equal((await routing.ask('/bad')).status, 500)
  const old = await routing.ask('/old/x?y')
  assert.equal(old.status, 308)
  assert.equal(old.headers.get('location'), `https://${host}/new/x?y`)
  routing.target('ns/db:80', [app], { kind: 'service' })
  assert.equal((await routing.ask('/core')).body, `core GET /core ${host}`)
  assert.ok(!routing.fixture.messages.some(({ type }) => type === 'wake'))
  const elsewhere = await routing.ask('/other')
  assert.equal(elsewhere.status, 404)
  assert.match(elsewhere.body, /none of its rules matches GET \/other/)
})

test('plain HTTP goes to https, but network probes are answered', async () => {
  await using app = await named('app')
  await using routing = await Routing.start()
  routing
    .target('ns/rev', [app])
    .rules({ redirectToHttps: true, paths: [{ splits: all({ revision: 'ns/rev' }) }] })
  const { status, headers } = await routing.ask('/p?q', '', `${host}:8080`)
  assert.equal(status, 301)
  assert.equal(headers.get('location'), `https://${host}/p?q`)
  const probe = await routing.ask('/', 'K-Network-Probe: probe\r\nK-Network-Hash: override\r\n')
  assert.equal(probe.status, 200)
  assert.equal(probe.headers.get('k-network-hash'), 'beef')
})

test('tags by header, as KIngress paths ask for it', async () => {
  await using blue = await startApp(({ head, answer }) =>
    answer(`blue ${head.values[head.names.indexOf('Knative-Serving-Tag')]}`),
  )
  await using main = await startApp(({ head, answer }) =>
    answer(
      `main ${head.names.filter((name) => /^knative/i.test(name)).map((name) => `${name}=${head.values[head.names.indexOf(name)]}`)}`,
    ),
  )
  await using routing = await Routing.start()
  routing
    .target('ns/blue', [blue])
    .target('ns/main', [main])
    .paths(
      {
        headers: { 'Knative-Serving-Tag': { exact: 'blue' } },
        splits: all({ revision: 'ns/blue' }),
      },
      {
        appendHeaders: { 'Knative-Serving-Default-Route': 'true' },
        splits: all({ revision: 'ns/main' }),
      },
    )
  assert.equal((await routing.ask('/', 'Knative-Serving-Tag: blue\r\n')).body, 'blue blue')
  assert.equal((await routing.ask('/')).body, 'main Knative-Serving-Default-Route=true')
  assert.equal(
    (await routing.ask('/', 'Knative-Serving-Tag: red\r\nKnative-Serving-Default-Route: no\r\n'))
      .body,
    'main Knative-Serving-Tag=red,Knative-Serving-Default-Route=true',
  )
})

test('a path has its own time', async () => {
  await using app = await startApp(() => {})
  await using routing = await Routing.start()
  routing.target('ns/rev', [app]).paths({ timeoutMs: 30, splits: all({ revision: 'ns/rev' }) })
  const { status, body } = await routing.ask()
  assert.equal(status, 504)
  assert.equal(body, 'request timeout')
})

const cookieOf = (headers: ReadonlyMap<string, string>): string =>
  headers.get('set-cookie')?.split(';')[0] ?? ''

test('a cookie keeps a client at its pod and its revision while they are there', async () => {
  await using a0 = await named('a0')
  await using a1 = await named('a1')
  await using b0 = await named('b0')
  await using b1 = await named('b1')
  await using routing = await Routing.start()
  const sticky: Partial<RevisionTarget> = { sessionAffinity: { cookie: 'stay' } }
  const split = (a: number, b: number): Path => ({
    splits: [
      { revision: 'ns/a', percent: a },
      { revision: 'ns/b', percent: b },
    ],
  })
  routing.target('ns/a', [a0, a1], sticky).target('ns/b', [b0, b1], sticky).paths(split(50, 50))
  const who = (body: string): string => body.split(' ')[0] ?? ''
  const sessions = new Map<string, string>()
  for (let i = 0; i < 40; i++) {
    const { body, headers } = await routing.ask()
    assert.match(
      headers.get('set-cookie') ?? '',
      /^stay=[\w-]+\.[\w-]+; Path=\/; HttpOnly; SameSite=Lax$/,
    )
    sessions.set(who(body), cookieOf(headers))
  }
  assert.deepEqual([...sessions.keys()].toSorted(), ['a0', 'a1', 'b0', 'b1'])
  assert.equal(new Set(sessions.values()).size, 4)
  for (const [pod, cookie] of sessions) {
    const client = await routing.fixture.client()
    for (let i = 0; i < 10; i++) {
      const { body, headers } = await client.send(get('/', `Cookie: x=y; ${cookie}\r\n`)).response()
      assert.equal(who(body), pod)
      assert.equal(headers.get('set-cookie'), undefined)
    }
    client.socket.destroy()
  }
  // b0 goes: its clients stay with the revision and get another pod's cookie.
  const keep = {
    ...revisionDefaults,
    key: 'ns/b',
    ...sticky,
    backends: [{ ...b1.backend, pod: 'ns/b-1' }],
  }
  routing.tell({ type: 'revision', revision: keep })
  const moved = await routing.ask('/', `Cookie: ${sessions.get('b0')}\r\n`)
  assert.equal(who(moved.body), 'b1')
  assert.equal(cookieOf(moved.headers), sessions.get('b1'))
  // The revision has no weight any more: its clients move on.
  routing.paths(split(100, 0))
  const on = await routing.ask('/', `Cookie: ${sessions.get('b1')}\r\n`)
  assert.match(who(on.body), /^a/)
  assert.match(cookieOf(on.headers), /^stay=/)
  // Whatever is no cookie of ours is none.
  for (const cookie of ['stay', 'stay=', 'stay=a.b', `x${sessions.get('a0')}`])
    assert.match(cookieOf((await routing.ask('/', `Cookie: ${cookie}\r\n`)).headers), /^stay=/)
})

test('the limit of a pod stays hard: who cannot have his pod now gets another, and keeps his cookie', async () => {
  const held = signal()
  const answerLater = signal()
  await using one = await startApp(({ head, answer }) => {
    if (head.target !== '/slow') return answer('one')
    held.resolve()
    void answerLater.promise.then(() => answer('one'))
  })
  await using two = await startApp(({ answer }) => answer('two'))
  await using routing = await Routing.start()
  const more: Partial<RevisionTarget> = {
    containerConcurrency: 1,
    sessionAffinity: { cookie: 'stay' },
  }
  routing.target('ns/rev', [one], more).paths({ splits: all({ revision: 'ns/rev' }) })
  const cookie = cookieOf((await routing.ask()).headers)
  routing.target('ns/rev', [one, two], more)
  const slow = routing.ask('/slow', `Cookie: ${cookie}\r\n`)
  await held.promise
  const other = await routing.ask('/', `Cookie: ${cookie}\r\n`)
  assert.equal(other.body, 'two')
  assert.equal(other.headers.get('set-cookie'), undefined)
  answerLater.resolve()
  assert.equal((await slow).body, 'one')
  assert.equal((await routing.ask('/', `Cookie: ${cookie}\r\n`)).body, 'one')
})

test('a header keeps its values at their pods; when a pod goes only its own values move', async () => {
  const apps = await Promise.all([0, 1, 2].map((i) => named(`pod${i}`)))
  try {
    await using routing = await Routing.start()
    const more: Partial<RevisionTarget> = { sessionAffinity: { header: 'X-User' } }
    routing.target('ns/rev', apps, more).paths({ splits: all({ revision: 'ns/rev' }) })
    const where = async (): Promise<string[]> => {
      const found: string[] = []
      const client = await routing.fixture.client()
      for (let user = 0; user < 60; user++) {
        const { body } = await client.send(get('/', `x-user: user${user}\r\n`)).response()
        found.push(body.split(' ')[0] ?? '')
      }
      client.socket.destroy()
      return found
    }
    const before = await where()
    assert.deepEqual(await where(), before)
    assert.equal(new Set(before).size, 3)
    routing.target('ns/rev', apps.slice(0, 2), more)
    for (const [user, pod] of (await where()).entries())
      if (before[user] !== 'pod2') assert.equal(pod, before[user])
  } finally {
    for (const app of apps) await app[Symbol.asyncDispose]()
  }
})

test('a mirror gets whole copies, as many as asked; the original gets its own answer', async () => {
  const copies: string[] = []
  const enough = signal()
  await using mirror = await startApp(({ head, body, answer }) => {
    copies.push(`${head.method} ${head.target} ${body}`)
    answer('of the mirror')
    if (copies.length === 10) enough.resolve()
  })
  await using app = await startApp(({ body, answer }) => answer(`got ${body}`))
  await using routing = await Routing.start()
  routing
    .target('ns/rev', [app])
    .target('ns/copy:80', [mirror], { kind: 'service' })
    .paths({
      path: '/m',
      filters: {
        mirrors: [{ to: { service: 'ns/copy:80', percent: 100 }, percent: 50 }],
        requestHeaders: { set: { 'X-A': 'b' } },
      },
      splits: all({ revision: 'ns/rev' }),
    })
  const client = await routing.fixture.client()
  for (let i = 0; i < 20; i++) {
    const chunked = i % 4 === 3
    const text = `body${i}`
    const request = chunked
      ? `POST /m HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n${text.length}\r\n${text}\r\n0\r\n\r\n`
      : `POST /m HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${text.length}\r\n\r\n${text}`
    assert.equal((await client.send(request).response('POST')).body, `got ${text}`)
  }
  await enough.promise
  client.socket.destroy()
  assert.deepEqual(
    copies.toSorted(),
    Array.from({ length: 10 }, (_, i) => `POST /m body${i * 2 + 1}`).toSorted(),
  )
})

test('a mirror that reads nothing, answers badly or is not there changes nothing', async () => {
  await using deaf = await startApp(({ socket }) => void socket.pause(), { bodies: false })
  await using bad = await startApp(({ raw }) => raw('nonsense\r\n\r\n'))
  await using app = await startApp(({ body, answer }) => answer(`${body.length}`))
  await using routing = await Routing.start()
  routing
    .target('ns/rev', [app])
    .target('ns/deaf:80', [deaf], { kind: 'service' })
    .target('ns/bad', [bad])
    .paths({
      filters: {
        mirrors: [
          { to: { service: 'ns/deaf:80', percent: 100 }, percent: 100 },
          { to: { revision: 'ns/bad', percent: 100 }, percent: 100 },
          { to: { revision: 'ns/absent', percent: 100 }, percent: 100 },
        ],
      },
      splits: all({ revision: 'ns/rev' }),
    })
  const size = 8_000_000
  const client = await Client.open(routing.fixture.gateway.http.port)
  client.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${size}\r\n\r\n`)
  for (let sent = 0; sent < size; sent += 1_000_000) client.send('x'.repeat(1_000_000))
  assert.equal((await client.response('POST')).body, `${size}`)
  client.socket.destroy()
})

test('with or without a mirror the original is the same, byte by byte', async () => {
  const random = seededRandom(5)
  const requests = Array.from({ length: 80 }, (_, i) => {
    const size = [0, 1, 100, 5000, 70_000][randomInt(random, 5)]!
    const text = String.fromCharCode(97 + (i % 26)).repeat(size)
    if (size === 0) return get(`/${i}`)
    if (random.next() < 0.5)
      return `PUT /${i} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${size}\r\n\r\n${text}`
    const cut = randomInt(random, size)
    const chunks = [text.slice(0, cut), text.slice(cut)].filter((chunk) => chunk !== '')
    return `PUT /${i} HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${chunk.length.toString(16)};x=y\r\n${chunk}\r\n`).join('')}0\r\nT: 1\r\n\r\n`
  })
  /** What the app gets and the client sees. */
  const transcript = async (mirrored: boolean): Promise<readonly string[]> => {
    const seen: string[] = []
    await using app = await startApp(({ head, body, answer }) => {
      const lines = head.names.map((name, i) => `${name}: ${head.values[i]}`)
      seen.push(
        [
          head.method,
          head.target,
          ...lines.filter((line) => !/^x-request-id/i.test(line)),
          body,
        ].join('\n'),
      )
      answer(`${head.target} ${body.length}`)
    })
    await using mirror = await startApp(({ answer }) => answer('other'))
    await using routing = await Routing.start()
    const mirrors = [{ to: { service: 'ns/copy:80', percent: 100 }, percent: 70 }]
    routing
      .target('ns/rev', [app])
      .target('ns/copy:80', [mirror], { kind: 'service' })
      .paths({ splits: all({ revision: 'ns/rev' }), ...(mirrored && { filters: { mirrors } }) })
    const client = await routing.fixture.client()
    for (const request of requests) {
      const { status, headers, body } = await client.send(request).response()
      seen.push(`${status} ${[...headers]} ${body}`)
    }
    client.socket.destroy()
    return seen
  }
  assert.deepEqual(await transcript(true), await transcript(false))
})

test('HTTP/2: a client gets its cookie, an h2c target its copies', async () => {
  const copied = signal<string>()
  const server = createHttp2Server((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (text: string) => (body += text))
    request.on('end', () => {
      copied.resolve(`${request.method} ${request.url} ${body}`)
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await using app = await startApp(({ body, answer }) => answer(body))
  await using routing = await Routing.start()
  const session = connectHttp2(`http://127.0.0.1:${routing.fixture.gateway.http.port}`)
  try {
    routing
      .target('ns/rev', [app], { sessionAffinity: { cookie: 'stay' } })
      .tell({
        type: 'revision',
        revision: {
          ...revisionDefaults,
          key: 'ns/copy',
          protocol: 'h2c',
          backends: [{ host: '127.0.0.1', port, pod: 'copy' }],
        },
      })
      .paths({
        filters: { mirrors: [{ to: { revision: 'ns/copy', percent: 100 }, percent: 100 }] },
        splits: all({ revision: 'ns/rev' }),
      })
    const stream = session.request({ ':method': 'POST', ':path': '/p?q', ':authority': host })
    const answered = signal<unknown>()
    stream.on('response', (headers) => answered.resolve(headers['set-cookie']))
    let body = ''
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => (body += text))
    const ended = new Promise((resolve) => stream.on('end', resolve))
    stream.end('whole')
    assert.match(String(await answered.promise), /^stay=/)
    await ended
    assert.equal(body, 'whole')
    assert.equal(await copied.promise, 'POST /p?q whole')
  } finally {
    session.destroy()
    await routing.fixture.gateway.stop(0)
    server.close()
  }
})

test('splits go round over paths of a shared host, each by itself', async () => {
  await using a = await named('a')
  await using b = await named('b')
  await using routing = await Routing.start()
  const splits = (percent: number): readonly Split[] => [
    { revision: 'ns/a', percent },
    { revision: 'ns/b', percent: 4 - percent },
  ]
  routing
    .target('ns/a', [a])
    .target('ns/b', [b])
    .rules({
      ordered: true,
      paths: [
        { path: '/x', pathType: 'prefix', methods: ['GET'], splits: splits(1) },
        { path: '/', pathType: 'prefix', splits: splits(3) },
        { path: '/x', pathType: 'exact', splits: splits(0) },
      ],
    })
  const count = (bodies: readonly string[]): number =>
    bodies.filter((body) => body.startsWith('a')).length
  assert.equal(count(await routing.bodies(40, '/x')), 10)
  assert.equal(count(await routing.bodies(40, '/xy')), 30)
})

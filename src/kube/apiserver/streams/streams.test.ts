import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { Duplex, PassThrough, Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { createWebSocketStream, WebSocket, type RawData } from 'ws'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { SpdyConnection } from '../../../lib/spdy/connection.ts'
import type { SpdyStream } from '../../../lib/spdy/stream.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import { memoryStore } from '../../store/memory-store.ts'
import { createApiServer } from '../api-server.ts'
import { authenticator, serveHttp } from '../http/http.ts'
import { fieldsOf } from '../values.ts'
import type { PodStreams, RunningCommand, TerminalSize } from './pod-streams.ts'
import { podTraffic } from './traffic.ts'
import { asBuffer } from './websocket-session.ts'

/** Waits for what other connections bring about; fails rather than wait for ever. */
async function until(done: () => boolean): Promise<void> {
  for (let turn = 0; !done(); turn++) {
    assert.ok(turn < 100_000, `never: ${done}`)
    await setImmediate()
  }
}

/** A program that a test plays. */
class Program implements RunningCommand {
  readonly stdin = new PassThrough()
  readonly stdout: Readable = new PassThrough()
  readonly stderr = new PassThrough()
  readonly sizes: TerminalSize[] = []
  readonly #exit = Promise.withResolvers<number>()
  readonly exited = this.#exit.promise
  closed = false

  constructor(stdout?: Readable) {
    if (stdout) this.stdout = stdout
  }

  resize(size: TerminalSize): void {
    this.sizes.push(size)
  }

  close(): void {
    this.closed = true
    this.exit(137)
  }

  exit(code: number): void {
    this.stdout.push(null)
    this.stderr.end()
    this.#exit.resolve(code)
  }
}

const exec = '/api/v1/namespaces/default/pods/p/exec?command=x'
const forward = '/api/v1/namespaces/default/pods/p/portforward'

async function start(t: TestContext, streams: Partial<PodStreams> = {}) {
  const clock = new SimClock()
  const api = createApiServer({
    store: memoryStore(),
    kinds: coreKinds,
    clock,
    random: seededRandom(1),
    log: silent,
  })
  const calls: unknown[] = []
  let program = new Program()
  const nobody = (): never => {
    throw new Error('connect ECONNREFUSED')
  }
  const traffic = podTraffic({
    api,
    clock,
    streams: {
      exec: async (pod, container, command, options) => {
        calls.push([pod.metadata.name, container, command, options])
        return program
      },
      attach: async (pod, container) => {
        calls.push([pod.metadata.name, container])
        const { exited: _, ...own } = program
        return { ...own, resize: () => {}, close: () => program.close() }
      },
      dial: async () => nobody(),
      ...streams,
    },
  })
  const http = await serveHttp({
    api,
    host: '127.0.0.1',
    port: 0,
    log: silent,
    clock,
    authenticate: authenticator({
      tokens: new Map([['root', { username: 'admin', groups: ['system:masters'] }]]),
    }),
    ...traffic,
  })
  t.after(async () => {
    await http[Symbol.asyncDispose]()
    api[Symbol.dispose]()
  })
  const ask = { group: '', version: 'v1', resource: 'pods', namespace: 'default', options: {} }
  const user = { username: 'admin', groups: ['system:masters'] }
  for (const [name, phase] of [
    ['p', 'Running'],
    ['waiting', 'Pending'],
    ['over', 'Succeeded'],
  ] as const) {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        nodeName: 'n',
        containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }],
      },
    }
    await api.handle({ ...ask, verb: 'create', body, user, durable: true })
    const state = phase === 'Running' ? { running: {} } : { waiting: {} }
    const status = { phase, podIP: '127.0.0.1', containerStatuses: [{ name: 'c', state }] }
    await api.handle({
      ...ask,
      verb: 'patch',
      name,
      subresource: 'status',
      patchType: 'merge',
      body: { status },
      user,
      durable: true,
    })
  }

  /** The answer's head, and the connection behind it. */
  const upgrade = async (path: string, protocol = 'v4.channel.k8s.io') => {
    const socket = connect(http.port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer root\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\nContent-Length: 0\r\n\r\n`,
    )
    let head = ''
    while (!head.includes('\r\n\r\n')) {
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      head += chunk.toString('latin1')
    }
    return { head, socket }
  }
  const spdy = async (path: string, protocol?: string) => {
    const { head, socket } = await upgrade(path, protocol)
    assert.match(head, /^HTTP\/1\.1 101 [^]*Upgrade: SPDY\/3\.1/)
    const connection = new SpdyConnection(socket, { side: 'client' })
    const opened = async (type: string, more: Record<string, string> = {}): Promise<SpdyStream> => {
      const stream = connection.open(new Map(Object.entries({ streamtype: type, ...more })))
      await stream.accepted
      return stream
    }
    return { connection, socket, opened }
  }
  const webSocket = async (path: string, protocols: string[]) => {
    const headers = { authorization: 'Bearer root' }
    const socket = new WebSocket(`ws://127.0.0.1:${http.port}${path}`, protocols, { headers })
    t.after(() => socket.terminate())
    const messages: Buffer[] = []
    socket.on('message', (data: RawData) => messages.push(asBuffer(data)))
    await once(socket, 'open')
    return Object.assign(socket, { messages })
  }
  return {
    clock,
    calls,
    http,
    upgrade,
    spdy,
    webSocket,
    get program() {
      return program
    },
    set program(next: Program) {
      program = next
    },
  }
}

const failure3 = {
  metadata: {},
  status: 'Failure',
  reason: 'NonZeroExitCode',
  details: { causes: [{ reason: 'ExitCode', message: '3' }] },
}

test('SPDY: streams, the end of input, sizes, the exit status', async (t) => {
  const server = await start(t)
  const { opened, connection } = await server.spdy(`${exec}&stdin=1&stdout=1&stderr=1&container=c`)
  const status = await opened('error')
  const [stdin, stdout, stderr] = await Promise.all([
    opened('stdin'),
    opened('stdout'),
    opened('stderr'),
  ])
  stdin.end('typed')
  assert.equal(await text(server.program.stdin), 'typed')
  assert.deepEqual(server.calls, [['p', 'c', ['x'], { stdin: true, tty: false }]])
  server.program.stdout.push('out')
  server.program.stderr.write('err')
  server.program.exit(3)
  assert.deepEqual(await Promise.all([text(stdout), text(stderr)]), ['out', 'err'])
  const { message, ...rest } = JSON.parse(await text(status))
  assert.match(message, /exit code 3$/)
  assert.deepEqual(rest, failure3)
  await connection.closed
})

test('SPDY: a terminal begins with its size and follows it', async (t) => {
  const server = await start(t)
  const { opened } = await server.spdy(`${exec}&stdin=1&stdout=1&tty=1`)
  const opening = ['error', 'stdin', 'stdout', 'resize'].map((type) => opened(type))
  const [status, , stdout, resize] = await Promise.all(opening)
  const size = '{"width":81,"height":25}'
  resize?.write('{"Width":80,"Hei')
  resize?.write('ght":24}\n{"Width":-1}\nrubbish}{"Width":81,"Height":25}\n')
  const begun = () => fieldsOf([server.calls].flat(2).at(-1))['size']
  await until(() => JSON.stringify(server.program.sizes.at(-1) ?? begun()) === size)
  server.program.exit(0)
  assert.equal(await text(stdout ?? Readable.from([])), '')
  assert.deepEqual(JSON.parse(await text(status ?? Readable.from([]))), {
    metadata: {},
    status: 'Success',
  })
})

test('WebSocket: channels, the end of input, the exit status, an end in order', async (t) => {
  const server = await start(t)
  const socket = await server.webSocket(`${exec}&stdin=true&stdout=true&stderr=true`, [
    'v5.channel.k8s.io',
    'v4.channel.k8s.io',
  ])
  assert.equal(socket.protocol, 'v5.channel.k8s.io')
  const messages: Buffer[] = []
  socket.on('message', (data: RawData) => messages.push(asBuffer(data)))
  socket.send(Buffer.from('\0typed'))
  socket.send(Buffer.from([9, 1, 2])) // nobody's
  socket.send(Buffer.from([255, 0]))
  assert.equal(await text(server.program.stdin), 'typed')
  server.program.stdout.push('out')
  server.program.stderr.write('err')
  server.program.exit(3)
  const [code] = await once(socket, 'close')
  assert.equal(code, 1000)
  assert.deepEqual(messages.slice(0, -1).map(String).toSorted(), ['\u0001out', '\u0002err'])
  assert.equal(messages.at(-1)?.[0], 3)
  const { message: _, ...rest } = JSON.parse(String(messages.at(-1)?.subarray(1)))
  assert.deepEqual(rest, failure3)
})

test('WebSocket: the same in text for clients that want it', async (t) => {
  const server = await start(t)
  const socket = await server.webSocket(`${exec}&stdin=true&stdout=true`, [
    'v4.base64.channel.k8s.io',
  ])
  const messages: string[] = []
  socket.on('message', (data: RawData) => messages.push(asBuffer(data).toString()))
  socket.send(`0${Buffer.from('typed').toString('base64')}`)
  const [typed] = (await once(server.program.stdin, 'data')) as [Buffer]
  assert.equal(typed.toString(), 'typed')
  server.program.stdout.push('out')
  server.program.exit(0)
  await once(socket, 'close')
  assert.equal(messages[0], `1${Buffer.from('out').toString('base64')}`)
  assert.match(Buffer.from(messages[1]?.slice(1) ?? '', 'base64').toString(), /"Success"/)
})

test('a client that leaves ends its command after a while, and leaves a program alone', async (t) => {
  const server = await start(t)
  const socket = await server.webSocket(`${exec}&stdin=true&stdout=true`, ['v5.channel.k8s.io'])
  await until(() => !(server.calls.length < 1))
  socket.terminate()
  await once(server.program.stdin.resume(), 'end')
  assert.equal(server.program.closed, false)
  await server.clock.advance(10_000)
  assert.equal(server.program.closed, true)
})

test('a client that does not read holds the program back', async (t) => {
  const server = await start(t)
  let made = 0
  server.program = new Program(
    new Readable({
      read() {
        made += 65_536
        void setImmediate().then(() => this.push(Buffer.alloc(65_536)))
      },
    }),
  )
  const { socket, opened } = await server.spdy(`${exec}&stdout=1`)
  const streams = ['error', 'stdout'].map((type) => opened(type))
  await Promise.all(streams)
  socket.pause()
  for (let before = -1; before !== made;) {
    before = made
    for (let i = 0; i < 200; i++) await setImmediate()
  }
  assert.ok(made > 0 && made < 64 << 20, `${made} bytes were made`)
  socket.destroy()
  for (let i = 0; i < 100 && !server.program.closed; i++) await server.clock.advance(1_000)
  assert.equal(server.program.closed, true)
})

test('attach has no exit code: its end is a success', async (t) => {
  const server = await start(t)
  const path = '/api/v1/namespaces/default/pods/p/attach?stdout=true'
  const socket = await server.webSocket(path, ['v5.channel.k8s.io'])
  const messages: string[] = []
  socket.on('message', (data: RawData) => messages.push(asBuffer(data).toString()))
  await until(() => !(server.calls.length < 1))
  server.program.stdout.push('out')
  server.program.exit(7)
  await once(socket, 'close')
  assert.deepEqual(messages, ['\u0001out', '\u0003{"metadata":{},"status":"Success"}'])
})

test('what is wrong is told before the upgrade', async (t) => {
  const server = await start(t)
  const pods = '/api/v1/namespaces/default/pods'
  const cases: readonly (readonly [string, number, RegExp])[] = [
    [`${pods}/nobody/exec?command=x&stdout=1`, 404, /pods \\"nobody\\" not found/],
    [`${pods}/p/exec?command=x`, 400, /must specify at least 1 of stdin, stdout, stderr/],
    [`${pods}/p/exec?stdout=1`, 400, /must specify at least one command for the container/],
    [`${pods}/p/exec?command=x&stdout=1&container=z`, 400, /container z is not valid for pod p/],
    [`${pods}/over/exec?command=x&stdout=1`, 400, /completed pod; current phase is Succeeded/],
    [`${pods}/waiting/exec?command=x&stdout=1`, 500, /container not found \(\\"c\\"\)/],
    [`${pods}/waiting/portforward`, 400, /pod is not running. Current status=Pending/],
    [`${pods}/p/status`, 404, /could not find the requested resource/],
    [`${pods}/p/proxy/`, 503, /error trying to reach service: connect ECONNREFUSED/],
  ]
  for (const [path, code, message] of cases) {
    const { head, socket } = await server.upgrade(path)
    const rest = head.endsWith('}\n') ? '' : await text(socket)
    assert.match(head, new RegExp(`^HTTP/1.1 ${code} `), path)
    assert.match(head + rest, message)
  }
  assert.match(
    (await server.upgrade(`${exec}&stdout=1`, 'v9.channel.k8s.io')).head,
    /^HTTP\/1\.1 403 [^]*X-Accepted-Stream-Protocol-Versions: v4\.channel\.k8s\.io/,
  )
  const plain = httpRequest(`${server.http.url}${exec}&stdout=1`, {
    method: 'POST',
    headers: { authorization: 'Bearer root' },
  }).end()
  const [answer] = await once(plain, 'response')
  assert.equal(answer.statusCode, 400)
  assert.match(await text(answer), /Upgrade request required/)
})

test('rubbish behind the upgrade closes the connection and starts nothing', async (t) => {
  const server = await start(t)
  const { socket } = await server.upgrade(`${exec}&stdout=1`)
  socket.resume().write(Buffer.alloc(100, 0xff))
  await once(socket, 'close')
  assert.deepEqual(server.calls, [])
})

test('a client that never opens its streams is let go', async (t) => {
  const server = await start(t)
  const { opened, socket } = await server.spdy(`${exec}&stdout=1`)
  await opened('error')
  const closed = once(socket, 'close')
  await server.clock.advance(31_000)
  await closed
  assert.deepEqual(server.calls, [])
})

/** Answers in capitals. */
const shout = (): Duplex =>
  Duplex.from(async function* (source: AsyncIterable<Buffer>) {
    for await (const chunk of source) yield Buffer.from(chunk.toString().toUpperCase())
  })

const dial: PodStreams['dial'] = async (_, port) => {
  if (port === 9) throw new Error('connect ECONNREFUSED 127.0.0.1:9')
  return shout()
}

async function forwards(
  opened: (type: string, more: Record<string, string>) => Promise<SpdyStream>,
) {
  const pair = async (port: string, requestid: string, said: string) => {
    const errors = await opened('error', { port, requestid })
    errors.end()
    const data = await opened('data', { port, requestid })
    data.end(said)
    return await Promise.all([text(data), text(errors)])
  }
  assert.deepEqual(
    await Promise.all([pair('80', '0', 'one'), pair('80', '1', 'two'), pair('9', '2', '')]),
    [
      ['ONE', ''],
      ['TWO', ''],
      ['', (await pair('9', '3', ''))[1]],
    ],
  )
  assert.match(
    (await pair('9', '4', ''))[1],
    /^error forwarding port 9 to pod p, uid : .*ECONNREFUSED/,
  )
}

test('port-forward over SPDY: many connections, refusals', async (t) => {
  const server = await start(t, { dial })
  const { opened, connection } = await server.spdy(forward, 'portforward.k8s.io')
  await forwards(opened)
  const odd = connection.open(new Map([['streamtype', 'data']]))
  await new Promise((resolve) => odd.once('close', resolve))
})

test('port-forward through a WebSocket that carries SPDY', async (t) => {
  const server = await start(t, { dial })
  // The client of `ws` does not allow the name either, so its handshake is made by hand.
  const request = httpRequest(`${server.http.url}${forward}`, {
    headers: {
      authorization: 'Bearer root',
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io',
    },
  }).end()
  const [answer, socket, head] = (await once(request, 'upgrade')) as [
    { headers: Record<string, string> },
    Socket,
    Buffer,
  ]
  assert.equal(answer.headers['sec-websocket-protocol'], 'SPDY/3.1+portforward.k8s.io')
  const client: WebSocket = Reflect.construct(WebSocket, [null, undefined, {}])
  Reflect.set(client, '_isServer', false)
  // The library's own way to begin with a connection that is open.
  Reflect.get(client, 'setSocket').call(client, socket, head, {
    allowSynchronousEvents: true,
    maxPayload: 1 << 20,
    skipUTF8Validation: true,
  })
  t.after(() => client.terminate())
  const connection = new SpdyConnection(createWebSocketStream(client), { side: 'client' })
  await forwards(async (type, more) => {
    const stream = connection.open(new Map(Object.entries({ streamtype: type, ...more })))
    await stream.accepted
    return stream
  })
})

test('port-forward over channels of a WebSocket', async (t) => {
  const server = await start(t, { dial })
  const socket = await server.webSocket(`${forward}?ports=80&ports=9`, ['v4.channel.k8s.io'])
  const { messages } = socket
  const of = (channel: number) => messages.filter(([first]) => first === channel)
  await until(() => !(messages.length < 5))
  for (const [channel, port] of [
    [0, 80],
    [1, 80],
    [2, 9],
    [3, 9],
  ] as const)
    assert.deepEqual(of(channel)[0], Buffer.from([channel, port, 0]))
  assert.match(String(of(3)[1]), /error forwarding port 9 to pod p/)
  socket.send(Buffer.from('\0hello'))
  await until(() => !(of(0).length < 2))
  assert.equal(String(of(0)[1]), '\0HELLO')
  socket.close()
  await once(socket, 'close')
})

test('proxy: what a program answers, with redirects and links turned', async (t) => {
  const seen: (readonly [string | undefined, string | undefined, unknown])[] = []
  const program = createServer((request, response) => {
    seen.push([request.method, request.url, request.headers['x-forwarded-uri']])
    if (request.url === '/move') return void response.writeHead(302, { location: '/there' }).end()
    if (request.url?.startsWith('/page'))
      return void response
        .setHeader('content-type', 'text/html')
        .end('<p>a < b</p><a href="/x">x</a><img src=/y><a href="//other/z" title="/t">')
    void buffer(request).then((body) =>
      response.writeHead(201, { 'x-own': 'yes' }).end(`${request.headers.authorization} ${body}`),
    )
  })
  await new Promise<void>((resolve) => program.listen(0, '127.0.0.1', resolve))
  t.after(() => void program.close())
  const { port } = program.address() as AddressInfo
  const server = await start(t, {
    dial: async () => {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  const base = '/api/v1/namespaces/default/pods/p:80/proxy'
  const ask = async (path: string, method = 'GET', body = '') => {
    const request = httpRequest(`${server.http.url}${base}${path}`, {
      method,
      headers: { authorization: 'Bearer root' },
    })
    request.end(body)
    const [answer] = await once(request, 'response')
    return { code: answer.statusCode, headers: answer.headers, body: await text(answer) }
  }
  const posted = await ask('/a%2Fb/c?d=/e', 'POST', 'hello')
  assert.deepEqual(
    [posted.code, posted.headers['x-own'], posted.body],
    [201, 'yes', 'undefined hello'],
  )
  assert.deepEqual(seen.at(-1), ['POST', '/a%2Fb/c?d=/e', `${base}/a%2Fb/c`])
  assert.equal((await ask('')).headers.location, `${base}/`)
  assert.equal((await ask('/move')).headers.location, `${base}/there`)
  assert.equal(
    (await ask('/page')).body,
    `<p>a < b</p><a href="${base}/x">x</a><img src=${base}/y><a href="//other/z" title="/t">`,
  )
})

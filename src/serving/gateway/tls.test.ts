import assert from 'node:assert/strict'
import { createHash, randomBytes, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect as connectH2 } from 'node:http2'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { systemClock } from '../../lib/clock.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { issue, type Issued } from '../../platform/access/certificate-issue.ts'
import { Client, Fixture, get, host, startApp } from './gateway.fixture.ts'

const day = 86_400_000
const ca = await issue({
  subject: 'CN=test',
  authority: true,
  notBefore: new Date(systemClock.now() - day),
  notAfter: new Date(systemClock.now() + day),
})

const certify = (name: string, hosts: readonly string[], fromDays = -1, toDays = 1) =>
  issue({
    subject: `CN=${name}`,
    usage: 'server',
    hosts,
    issuer: ca,
    notBefore: new Date(systemClock.now() + fromDays * day),
    notAfter: new Date(systemClock.now() + toDays * day),
  })
const exact = await certify('exact', [host])
const wild = await certify('wild', ['*.ns.example.com'])

const tell = (
  fixture: Fixture,
  key: string,
  hosts: readonly string[],
  { cert, key: privateKey }: Issued,
) =>
  fixture.gateway.receive({
    type: 'certificate',
    certificate: { key, hosts, chain: cert, privateKey },
  })

/** A client that trusts the test's authority. Rejects when there is no handshake. */
function open(
  fixture: Fixture,
  { onSession, ...options }: ConnectionOptions & { onSession?: (session: Buffer) => void } = {},
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        host: '127.0.0.1',
        port: fixture.gateway.https?.port ?? 0,
        servername: host,
        ca: ca.cert,
        ...options,
      },
      () => resolve(socket),
    )
    socket.on('error', reject)
    if (onSession) socket.on('session', onSession)
  })
}

const shown = async (
  fixture: Fixture,
  options?: ConnectionOptions,
): Promise<string | undefined> => {
  const socket = await open(fixture, options)
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  const name: unknown = subject?.CN
  return typeof name === 'string' ? name : undefined
}

const refusal = async (attempt: Promise<unknown>): Promise<string> => {
  const error = await attempt.then(
    () => assert.fail('it was taken'),
    (thrown: unknown) => thrown,
  )
  return error instanceof Error
    ? `${'code' in error ? String(error.code) : ''} ${error.message}`
    : ''
}

async function served(tls = true) {
  const app = await startApp(({ head, answer }) => {
    const at = head.names.findIndex((name) => name.toLowerCase() === 'x-forwarded-proto')
    answer(head.values[at] ?? '')
  })
  const fixture = await Fixture.start({ tls, revision: { backends: [app.backend] } })
  return {
    app,
    fixture,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      await app[Symbol.asyncDispose]()
    },
  }
}

test('requests through TLS, by both protocols, and the app knows', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  const h1 = await open(fixture, { ALPNProtocols: ['http/1.1'] })
  assert.equal(h1.alpnProtocol, 'http/1.1')
  h1.write(get())
  const [answer] = (await once(h1, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 200 OK[^]*\r\nhttps$/)
  h1.destroy()

  const session = connectH2(`https://${host}:${fixture.gateway.https?.port}`, {
    createConnection: () =>
      connect({
        host: '127.0.0.1',
        port: fixture.gateway.https?.port ?? 0,
        servername: host,
        ca: ca.cert,
        ALPNProtocols: ['h2'],
      }),
  })
  const stream = session.request({ ':path': '/', ':authority': host })
  const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }]
  let body = ''
  stream.on('data', (chunk: Buffer) => (body += chunk))
  await once(stream, 'end')
  assert.deepEqual([headers[':status'], body], [200, 'https'])
  session.destroy()
})

test('large bodies pass whole through TLS in both directions at once, by both protocols', async () => {
  const app = createServer((request, response) => request.pipe(response))
  await using _app = new Closing(app)
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  const { port } = app.address() as AddressInfo
  await using fixture = await Fixture.start({
    tls: true,
    revision: { backends: [{ host: '127.0.0.1', port, pod: 'echo' }] },
  })
  tell(fixture, 'ns/exact', [host], exact)
  const body = randomBytes(8 << 20)
  const digest = (data: Buffer | Hash) =>
    (Buffer.isBuffer(data) ? createHash('sha256').update(data) : data).digest('hex')
  const echoed = async (stream: Readable): Promise<string> => {
    const hash = createHash('sha256')
    for await (const chunk of stream) hash.update(chunk as Buffer)
    return digest(hash)
  }
  const tls = await open(fixture, { ALPNProtocols: ['http/1.1'] })
  const request = httpRequest({
    createConnection: () => tls,
    method: 'POST',
    headers: { host, connection: 'close' },
  })
  const answered = once(request, 'response') as Promise<[IncomingMessage]>
  Readable.from(chunksOf(body)).pipe(request)
  assert.equal(await echoed((await answered)[0]), digest(body))

  const h2 = await open(fixture, { ALPNProtocols: ['h2'] })
  const session = connectH2(`https://${host}`, { createConnection: () => h2 })
  const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': host })
  Readable.from(chunksOf(body)).pipe(stream)
  assert.equal(await echoed(stream), digest(body))
  session.destroy()
})

function* chunksOf(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 50_000) yield body.subarray(at, at + 50_000)
}

class Closing implements AsyncDisposable {
  readonly #server: Server
  constructor(server: Server) {
    this.#server = server
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

test('the certificate of the exact name goes before the wildcard, ours for anybody comes last', async () => {
  await using world = await served()
  const { fixture } = world
  const own = await certify('own', ['*.ns.example.com'])
  tell(fixture, 'local/*.ns.example.com', ['*.ns.example.com'], own)
  assert.equal(await shown(fixture), 'own')
  tell(fixture, 'ns/wild', ['*.ns.example.com'], wild)
  assert.equal(await shown(fixture), 'wild')
  tell(fixture, 'ns/exact', [host], exact)
  assert.equal(await shown(fixture), 'exact')
  assert.equal(await shown(fixture, { servername: 'other.ns.example.com' }), 'wild')
  assert.equal(await shown(fixture, { servername: 'APP.ns.Example.com' }), 'exact')
  assert.match(
    await refusal(open(fixture, { servername: 'a.other.ns.example.com' })),
    /UNRECOGNIZED_NAME/,
  )
  fixture.gateway.receive({ type: 'certificate-gone', key: 'ns/exact' })
  assert.equal(await shown(fixture), 'wild')
})

test('a snapshot takes away the certificates that it does not name', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  assert.equal(await shown(fixture), 'exact')
  fixture.inform()
  const refused = refusal(open(fixture))
  await fixture.message(({ type }) => type === 'certificate-wanted')
  fixture.gateway.receive({ type: 'certificate-refused', host })
  assert.match(await refused, /UNRECOGNIZED_NAME/)
})

test('a renewed certificate is shown at once, connections and requests under way stay', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  const renewals = await Promise.all(['one', 'two', 'three'].map((name) => certify(name, [host])))
  const old = await open(fixture)
  let done = false
  let count = 0
  const load = Array.from({ length: 4 }, async () => {
    while (!done) {
      const socket = await open(fixture)
      socket.write(get('/', 'Connection: close\r\n'))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      assert.match(answer.toString(), /^HTTP\/1.1 200/)
      socket.destroy()
      count++
    }
  })
  for (const [i, renewed] of renewals.entries()) {
    const before = count
    tell(fixture, 'ns/exact', [host], renewed)
    assert.equal(await shown(fixture), ['one', 'two', 'three'][i])
    while (count < before + 8) await new Promise((resolve) => setImmediate(resolve))
  }
  done = true
  await Promise.all(load)
  old.write(get())
  const [answer] = (await once(old, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 200/)
  old.destroy()
})

test('what is broken is refused and what was there serves on; what has expired is shown', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  tell(fixture, 'ns/exact', [host], { ...exact, cert: 'nonsense' })
  tell(fixture, 'ns/exact', [host], { ...exact, key: wild.key })
  tell(fixture, 'ns/exact', [host], { ...exact, key: '' })
  tell(fixture, 'ns/new', ['new.ns.example.com'], {
    cert: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
    key: exact.key,
  })
  assert.equal(await shown(fixture), 'exact')
  assert.match(await refusal(open(fixture, { servername: 'new.ns.example.com' })), /UNRECOGNIZED/)
  tell(fixture, 'ns/exact', [host], await certify('late', [host], -3, -1))
  assert.match(await refusal(open(fixture)), /CERT_HAS_EXPIRED/)
  assert.equal(await shown(fixture, { rejectUnauthorized: false }), 'late')
})

test('sessions are resumed with tickets', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const range = { minVersion: version, maxVersion: version } as const
    const ticket = Promise.withResolvers<Buffer>()
    const first = await open(fixture, { ...range, onSession: ticket.resolve })
    first.write(get())
    const session = await ticket.promise
    first.destroy()
    const second = await open(fixture, { ...range, session })
    assert.equal(second.isSessionReused(), true, version)
    second.destroy()
  }
  assert.match(await refusal(open(fixture, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })), /SSL/)
})

test('a routed host without certificate is asked for; the handshake waits for the answer', async () => {
  await using world = await served()
  const { fixture } = world
  const waiting = [shown(fixture), shown(fixture)]
  await fixture.message(({ type }) => type === 'certificate-wanted')
  tell(fixture, 'local/x', [host], exact)
  assert.deepEqual(await Promise.all(waiting), ['exact', 'exact'])
  const wanted = fixture.messages.filter(({ type }) => type === 'certificate-wanted')
  assert.deepEqual(wanted, [{ type: 'certificate-wanted', host }])

  fixture.gateway.receive({ type: 'certificate-gone', key: 'local/x' })
  const refused = refusal(open(fixture))
  while (fixture.messages.filter(({ type }) => type === 'certificate-wanted').length < 2)
    await new Promise((resolve) => setImmediate(resolve))
  fixture.gateway.receive({ type: 'certificate-refused', host })
  assert.match(await refused, /UNRECOGNIZED_NAME/)
  // Nobody routes this one, so nobody is asked.
  assert.match(await refusal(open(fixture, { servername: 'x.example.org' })), /UNRECOGNIZED_NAME/)
  assert.equal(fixture.messages.filter(({ type }) => type === 'certificate-wanted').length, 2)
})

test('clients that name no host get our own certificate, if there is one', async () => {
  await using world = await served()
  const { fixture } = world
  assert.match(
    await refusal(open(fixture, { servername: '', checkServerIdentity: () => undefined })),
    /HANDSHAKE_FAILURE/,
  )
  tell(fixture, 'local/x', [host], exact)
  const nameless = { servername: '', checkServerIdentity: () => undefined }
  assert.equal(await shown(fixture, nameless), 'exact')
})

test('plain HTTP on the TLS port and TLS on the plain port are told so', async () => {
  await using world = await served()
  const { fixture } = world
  const plain = await Client.open(fixture.gateway.https?.port ?? 0)
  const answer = await plain.send(get()).response()
  assert.equal(answer.status, 400)
  assert.equal(answer.whole, true)
  assert.match(answer.body, /^Client sent an HTTP request to an HTTPS server/)

  const raw = await fixture.client()
  raw.socket.write(Buffer.from('16030100c8010000c40303', 'hex'))
  const told = await raw.response()
  assert.equal(told.status, 400)
  assert.match(told.body, /speaks plain HTTP, and a TLS handshake came/)
})

test('a handshake that does not end is cut, and there are only so many at a time', async () => {
  const clock = new SimClock()
  await using fixture = await Fixture.start({
    tls: true,
    clock,
    limits: { handshakes: 2, handshakeTimeoutMs: 5000 },
  })
  tell(fixture, 'ns/exact', [host], exact)
  const port = fixture.gateway.https?.port ?? 0
  const dial = async (bytes: string) => {
    const socket = connectTcp({ host: '127.0.0.1', port })
    const closed = new Promise<'closed'>((resolve) => socket.on('close', () => resolve('closed')))
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (bytes) socket.write(Buffer.from(bytes, 'hex'))
    return { socket, closed }
  }
  const oldest = await dial('')
  const slow = await dial('16030100c801')
  const silent = await dial('')
  // The third takes the place of the first; the others go when their time is over.
  assert.equal(await oldest.closed, 'closed')
  let cut = 0
  for (const { closed } of [silent, slow]) void closed.then(() => cut++)
  await clock.advance(4000)
  assert.equal(cut, 0)
  await clock.advance(2000)
  await Promise.all([silent.closed, slow.closed])
  const after = await open(fixture)
  after.destroy()
})

test('garbage in a handshake ends that connection and no other', async () => {
  await using world = await served()
  const { fixture } = world
  tell(fixture, 'ns/exact', [host], exact)
  const good = await open(fixture)
  for (const hex of [
    '160301ffff',
    `1603010010${'00'.repeat(16)}`,
    `1603010004010000ff`,
    '1503010002020a',
  ]) {
    const bad = await Client.open(fixture.gateway.https?.port ?? 0)
    bad.socket.end(Buffer.from(hex, 'hex'))
    await bad.rest()
  }
  good.write(get())
  const [answer] = (await once(good, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 200/)
  good.destroy()
})

test('an upgraded connection is a tunnel through TLS too, also when one side says no more', async () => {
  await using app = await startApp(
    ({ socket, raw }) => {
      raw('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.on('data', (bytes: Buffer) => socket.write(bytes))
      socket.on('end', () => socket.end('bye'))
    },
    { bodies: false },
  )
  await using fixture = await Fixture.start({ tls: true, revision: { backends: [app.backend] } })
  tell(fixture, 'ns/exact', [host], exact)
  const client = await open(fixture)
  let text = ''
  client.on('data', (bytes: Buffer) => (text += bytes))
  client.write(get('/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
  while (!text.endsWith('\r\n\r\n')) await once(client, 'data')
  assert.match(text, /^HTTP\/1.1 101 /)
  text = ''
  const much = 'x'.repeat(300_000)
  client.write(much)
  while (text.length < much.length) await once(client, 'data')
  assert.equal(text, much)
  client.end()
  await once(client, 'close')
  assert.equal(text, `${much}bye`)
})

test('stopping closes idle TLS connections at once and lets requests end', async () => {
  const answered = Promise.withResolvers<() => void>()
  await using app = await startApp(({ answer }) => answered.resolve(() => answer('late')))
  await using fixture = await Fixture.start({ tls: true, revision: { backends: [app.backend] } })
  tell(fixture, 'ns/exact', [host], exact)
  const idle = await open(fixture)
  const busy = await open(fixture)
  busy.write(get())
  const answer = await answered.promise
  const closed = once(idle, 'close')
  idle.resume()
  const stopped = fixture.gateway.stop(30_000)
  await closed
  const response = once(busy, 'data') as Promise<[Buffer]>
  answer()
  const [bytes] = await response
  assert.match(bytes.toString(), /^HTTP\/1.1 200 OK[^]*late$/)
  busy.resume()
  await stopped
})

test('challenges are answered before anything else, for their host only', async () => {
  await using world = await served()
  const { fixture } = world
  const challenge = { type: 'challenge', host, token: 'abc', response: 'abc.print' } as const
  fixture.gateway.receive(challenge)
  const path = '/.well-known/acme-challenge/abc'
  assert.equal((await fixture.request(get(path))).body, 'abc.print')
  assert.equal((await fixture.request(get(`${path}d`))).body, 'http')
  const other = await fixture.request(`GET ${path} HTTP/1.1\r\nHost: other.example.com\r\n\r\n`)
  assert.equal(other.status, 404)
  fixture.gateway.receive({ ...challenge, response: null })
  assert.equal((await fixture.request(get(path))).body, 'http')
})

/** Clients of a fuzzed gateway: each sends one connection's worth, checks what comes back, and throws when it is not its own. */
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { randomInt, type Random } from '../../src/lib/random.ts'
import { Client, host } from '../../src/serving/gateway/gateway.fixture.ts'
import { settle } from '../../src/testing/sim-clock.ts'
import { cut, mutate, pick } from './bytes.ts'
import { http1Bytes, http2Bytes, newRequest, type SentRequest } from './traffic.ts'
import { answerText } from './world.ts'

/** What a connection has sent; for valid ones `requests` must have been seen exactly so. */
export interface Told {
  readonly bytes: Buffer
  readonly valid: readonly SentRequest[]
}

const idPattern = /q[0-9a-z]{15}/g
/** All ids ever given out: one of them in somebody else's answer is the worst that can happen. */
const issued = new Set<string>()

function newRequests(random: Random, pods: readonly ('/h1' | '/h2' | '/raw')[]): SentRequest[] {
  const requests = Array.from({ length: 1 + randomInt(random, 5) }, () =>
    newRequest(random, pick(random, pods)),
  )
  for (const { id } of requests) issued.add(id)
  return requests
}

const expected = ({ id, method, target, body, style }: SentRequest): [number, string, string] => [
  style === 'empty' ? 204 : 200,
  id,
  style === 'empty' || method === 'HEAD' ? '' : answerText({ method, url: target, id, body }),
]

/** Valid requests of HTTP/1, pipelined: all answered, in order, each with its own answer. */
export async function validHttp1(random: Random, port: number): Promise<Told> {
  const drawn = newRequests(random, ['/h1', '/h1', '/h2'])
  // Who is answered before it has sent all must close: only the last may be.
  const requests = drawn.map((request, i): SentRequest =>
    request.style === 'early' && i < drawn.length - 1 ? { ...request, style: 'length' } : request,
  )
  const bytes = Buffer.concat(
    requests.map((request, i) => http1Bytes(random, request, host, i === requests.length - 1)),
  )
  const client = await Client.open(port)
  const sending = send(client, cut(bytes, random), random)
  for (const request of requests) {
    const { status, headers, body, whole } = await client.response(request.method)
    const [wantStatus, id, text] = expected(request)
    assert.deepEqual([status, headers.get('x-id'), whole], [wantStatus, id, true], request.target)
    if (request.style !== 'early') assert.equal(body, text)
  }
  await sending
  assert.equal(await client.rest(), '', 'more came than was asked for')
  client.socket.destroy()
  return { bytes, valid: requests.filter(({ style }) => style !== 'early') }
}

/** Valid requests of HTTP/2 by an independent client, all at once. */
export async function validHttp2(random: Random, port: number): Promise<Told> {
  const requests = newRequests(random, ['/h1', '/h2'])
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  await Promise.all(
    requests.map(async (request) => {
      const stream = session.request(
        {
          ':method': request.method,
          ':authority': host,
          ':path': request.target,
          'x-id': request.id,
          'x-style': request.style,
        },
        { endStream: request.body === '' },
      )
      let status: number | undefined
      let id: unknown
      let body = ''
      let fault: Error | undefined
      stream.on('error', (error: Error) => (fault = error))
      stream.on('response', (headers) => {
        status = headers[':status']
        id = headers['x-id']
      })
      stream.setEncoding('latin1')
      stream.on('data', (text: string) => (body += text))
      const pieces = cut(Buffer.from(request.body), random)
      for (const piece of pieces.slice(0, 100)) {
        if (random.next() < 0.1) await settle(1)
        if (stream.writable) stream.write(piece)
      }
      if (stream.writable) stream.end(Buffer.concat(pieces.slice(100)))
      await new Promise<void>((resolve) =>
        stream.closed ? resolve() : stream.on('close', resolve),
      )
      if (request.style === 'early') return
      const [wantStatus, wantId, text] = expected(request)
      assert.deepEqual([status, id, fault], [wantStatus, wantId, undefined], request.target)
      assert.equal(body, text)
    }),
  )
  session.destroy()
  return {
    bytes: Buffer.from(requests.map(({ id, target }) => `${id} ${target}`).join()),
    valid: requests.filter(({ style }) => style !== 'early'),
  }
}

/** Spoilt bytes, or a pod that answers nonsense: nothing that comes back is another's. */
export async function spoilt(random: Random, port: number): Promise<Told> {
  const nonsense = random.next() < 0.3
  const requests = newRequests(random, nonsense ? ['/raw'] : ['/h1', '/h2', '/raw'])
  const good =
    random.next() < 0.5
      ? Buffer.concat(requests.map((request) => http1Bytes(random, request, host, false)))
      : http2Bytes(random, requests, host)
  const bytes = nonsense ? good : mutate(good, random)
  const client = await Client.open(port)
  let came = Buffer.alloc(0)
  client.socket.on('data', (piece: Buffer) => (came = Buffer.concat([came, piece])))
  await send(client, cut(bytes, random), random)
  for (
    let quiet = 0, last = -1;
    quiet < 8 && !client.socket.destroyed && !client.socket.readableEnded;
  ) {
    await settle(4)
    quiet = came.length === last ? quiet + 1 : 0
    last = came.length
  }
  if (random.next() < 0.2) client.socket.resetAndDestroy()
  else client.socket.destroy()
  const text = bytes.toString('latin1')
  for (const [id] of came.toString('latin1').matchAll(idPattern))
    assert.ok(!issued.has(id) || text.includes(id), `${id} is the answer to somebody else`)
  return { bytes, valid: [] }
}

async function send(client: Client, pieces: readonly Buffer[], random: Random): Promise<void> {
  // Thousands of tiny pieces would only test patience.
  const tail = pieces.slice(400)
  for (const piece of pieces.slice(0, 400)) {
    if (client.socket.destroyed || !client.socket.writable) return
    client.socket.write(piece)
    if (random.next() < 0.3) await settle(1)
  }
  if (client.socket.writable) client.socket.write(Buffer.concat(tail))
}

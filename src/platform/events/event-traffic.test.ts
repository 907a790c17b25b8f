/** Following over the API, with an event engine that is a stand-in on a unix socket. */
import assert from 'node:assert/strict'
import { createServer, get, type Server } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { StatusError } from '../../kube/api/status-error.ts'
import type { Client } from '../../kube/client/client.ts'
import { eventTraffic } from './event-traffic.ts'

const listening = (server: Server, at: string | number): Promise<void> =>
  new Promise((resolve) => server.listen(at, () => resolve()))

test('tails are bounded, each user has a part of them, and one that ends makes room', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-traffic-'))
  const socket = join(directory, 'engine.sock')
  const engine = createServer((request, response) => {
    response.writeHead(200)
    if (/\/(tail|ways)$/.test(request.url ?? '')) response.flushHeaders()
    else response.end('{}\n')
  })
  await listening(engine, socket)
  const traffic = eventTraffic(socket)
  const broker = {
    metadata: {
      uid: 'u1',
      name: 'b',
      annotations: { 'eventing.knative.dev/broker.class': 'MTChannelBasedBroker' },
    },
  }
  const client = { get: async () => broker, create: async (_: unknown, asked: unknown) => asked }
  traffic.connect({
    client: client as unknown as Client,
    gateway: { host: '127.0.0.1', port: 1 },
  })
  const api = createServer((request, response) => {
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const url = new URL(request.url ?? '', 'http://api')
    const [, username = '', subresource = ''] = url.pathname.split('/')
    const path = {
      group: 'eventing.knative.dev',
      version: 'v1',
      resource: 'brokers',
      namespace: 'ns',
      name: 'b',
      subresource,
      rest: '',
      watch: false,
    }
    const user = { username, groups: [] }
    traffic
      .answerStream({ path, url, request, response, user, signal: gone.signal })
      ?.catch((error: unknown) => {
        response.writeHead(StatusError.from(error).code).end(StatusError.from(error).message)
      })
  })
  await listening(api, 0)
  const { port } = api.address() as AddressInfo
  const ask = (user: string, subresource: string) => {
    const asking = get({ port, host: '127.0.0.1', path: `/${user}/${subresource}`, agent: false })
    asking.on('error', () => {})
    const answered = new Promise<{ status: number; text: () => Promise<string> }>((resolve) =>
      asking.on('response', (answer) => {
        answer.on('error', () => {})
        resolve({ status: answer.statusCode ?? 0, text: () => text(answer) })
      }),
    )
    return { answered, end: () => asking.destroy() }
  }
  const open = Array.from({ length: 400 }, () => ask('alice', 'tail'))
  for (const { answered } of open) assert.equal((await answered).status, 200)
  assert.equal((await ask('alice', 'tail').answered).status, 429)
  assert.equal((await ask('alice', 'events').answered).status, 200)
  const other = ask('bob', 'tail')
  assert.equal((await other.answered).status, 200)
  open[0]?.end()
  for (;;) {
    const again = ask('alice', 'tail')
    open.push(again)
    if ((await again.answered).status === 200) break
  }
  const slow = Array.from({ length: 80 }, () => ask('alice', 'ways'))
  for (const { answered } of slow) assert.equal((await answered).status, 200)
  assert.equal((await ask('alice', 'ways').answered).status, 429)
  assert.equal((await ask('bob', 'events').answered).status, 200)
  for (const each of [...open, ...slow, other]) each.end()
  api.closeAllConnections()
  engine.closeAllConnections()
  await Promise.all([api, engine].map((server) => new Promise((resolve) => server.close(resolve))))
  await rm(directory, { recursive: true })
})

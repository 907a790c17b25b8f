/** Pods that fail at every moment of a request, with real sockets: what is sent again, where, and what is not. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type App, type AppRequest, Fixture, get, host, startApp } from './gateway.fixture.ts'

const ok = ({ answer }: AppRequest) => answer('ok')
const reset = ({ socket }: AppRequest) => socket.resetAndDestroy()
const post = (path = '/', body = 'abc') =>
  `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const put = (body = '') =>
  `PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** The first pod is always chosen first: containerConcurrency 1 fills them in order of their addresses. */
async function twoPods(first: (request: AppRequest) => void) {
  const apps: App[] = []
  const seen: number[] = []
  for (let at = 0; at < 2; at++) apps.push(await startApp((request) => handlers[at]!(request)))
  apps.sort((a, b) => (`${a.backend.port}` < `${b.backend.port}` ? -1 : 1))
  const handlers = apps.map(() => ok)
  const place = (app: App) => (request: AppRequest) => {
    const at = apps.indexOf(app)
    seen.push(at)
    if (at === 0) first(request)
    else ok(request)
  }
  for (const [at] of handlers.entries())
    handlers[at] = (request) =>
      place(apps.find(({ sockets }) => sockets.has(request.socket))!)(request)
  const fixture = await Fixture.start({
    revision: {
      containerConcurrency: 1,
      backends: apps.map(({ backend }, at) => ({ ...backend, pod: `pod-${at}` })),
    },
  })
  return {
    fixture,
    seen,
    apps,
    async [Symbol.asyncDispose]() {
      await fixture[Symbol.asyncDispose]()
      for (const app of apps) await app[Symbol.asyncDispose]()
    },
  }
}

describe('a pod fails', () => {
  test('after it has read the request: idempotent ones go to another pod', async () => {
    for (const text of [get(), put(), `DELETE / HTTP/1.1\r\nHost: ${host}\r\n\r\n`]) {
      await using pods = await twoPods(reset)
      const { status, body } = await pods.fixture.request(text)
      assert.deepEqual([status, body], [200, 'ok'], text)
      assert.deepEqual(pods.seen, [0, 1])
    }
  })

  test('after it has read the request: others get 502, and are sent once', async () => {
    for (const text of [post(), post('/', ''), put('abc')]) {
      await using pods = await twoPods(reset)
      assert.equal((await pods.fixture.request(text)).status, 502, text)
      assert.deepEqual(pods.seen, [0])
    }
  })

  test('in the middle of its answer: the client sees that it is not whole, nothing is sent again', async () => {
    const breaksAfter = (half: string) =>
      twoPods(({ socket }) => socket.write(half, 'latin1', () => socket.resetAndDestroy()))
    {
      await using pods = await breaksAfter('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
      const { status, body, whole } = await pods.fixture.request(get())
      assert.deepEqual([status, body, whole], [200, 'half', false])
      assert.deepEqual(pods.seen, [0])
    }
    await using pods = await breaksAfter('HTTP/1.1 200 O')
    assert.equal((await pods.fixture.request(get())).status, 502)
    assert.deepEqual(pods.seen, [0])
  })

  test('by closing a resting connection at the moment of its use: the same pod, on a new one', async () => {
    let closing = false
    await using pods = await twoPods((request) => {
      if (closing && request.connection === 0) request.socket.destroy()
      else ok(request)
    })
    const client = await pods.fixture.client()
    assert.equal((await client.send(get()).response()).status, 200)
    closing = true
    assert.equal((await client.send(get()).response()).status, 200)
    client.socket.destroy()
    assert.deepEqual(pods.seen, [0, 0, 0])
    assert.equal(pods.apps[0]!.connections, 2)
  })

  test('by refusing connections: any request goes to another pod', async () => {
    await using pods = await twoPods(ok)
    const [first] = pods.apps
    await new Promise<void>((resolve) => first!.server.close(() => resolve()))
    assert.equal((await pods.fixture.request(post())).status, 200)
    assert.deepEqual(pods.seen, [1])
  })

  test('every time: a request is sent three times at most', async () => {
    let times = 0
    await using app = await startApp((request) => {
      times++
      reset(request)
    })
    await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
    assert.equal((await fixture.request(get())).status, 502)
    assert.equal(times, 3)
  })
})

/** One user floods the server over real connections; what another one waits stays a small multiple of nothing. */
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { coreKinds } from '../../api/kinds.ts'
import { memoryStore } from '../../store/memory-store.ts'
import { createApiServer } from '../api-server.ts'
import { authenticator, serveHttp } from '../http/http.ts'

/** Asks again and again on many connections, and counts the answers where the test can see it. */
const flooder = `
const { workerData, parentPort } = require('node:worker_threads')
const http = require('node:http')
const answers = new Int32Array(workerData.answers)
const agent = new http.Agent({ keepAlive: true, maxSockets: workerData.sockets })
let stop = false
const one = () => new Promise((resolve) => {
  const request = http.request(workerData.url, { agent, headers: { authorization: 'Bearer noisy' } })
  request.on('response', (response) => {
    response.resume().on('end', () => {
      if (Atomics.add(answers, 0, 1) === 5) parentPort.postMessage('in full flood')
      resolve()
    })
  })
  request.on('error', resolve)
  request.end()
})
const loop = async () => { while (!stop) await one() }
for (let i = 0; i < workerData.sockets; i++) loop()
parentPort.on('message', () => { stop = true; agent.destroy(); parentPort.close() })
`

const sockets = 200

test('a flood of lists leaves the writes of another user alone', async () => {
  const store = memoryStore()
  const api = createApiServer({
    store,
    kinds: coreKinds,
    clock: systemClock,
    random: seededRandom(1),
    log: silent,
  })
  const data = { text: 'x'.repeat(300) }
  for (let i = 0; i < 1000; i++) {
    const metadata = { name: `c${i}`, namespace: 'default' }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data }
    store.put(`configmaps/default/c${i}`, object)
  }
  const groups = ['system:masters']
  await using http = await serveHttp({
    api,
    host: '127.0.0.1',
    port: 0,
    log: silent,
    clock: systemClock,
    authenticate: authenticator({
      tokens: new Map([
        ['noisy', { username: 'noisy', groups }],
        ['quiet', { username: 'quiet', groups }],
      ]),
    }),
  })
  const path = `${http.url}/api/v1/namespaces/default/configmaps`
  const send = (method: string, url: string, body?: object): Promise<number> =>
    new Promise((resolve, reject) => {
      const bytes = body && JSON.stringify(body)
      const headers = {
        authorization: 'Bearer quiet',
        ...(bytes && { 'content-length': String(bytes.length) }),
      }
      const request = httpRequest(url, { method, headers })
      request.on('error', reject).on('response', (response) => {
        void text(response).then(() => resolve(response.statusCode ?? 0))
      })
      request.end(bytes)
    })
  const answers = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { url: path, sockets, answers: answers.buffer }
  const worker = new Worker(flooder, { eval: true, workerData })
  await once(worker, 'message')
  const between: number[] = []
  for (let i = 0; i < 7; i++) {
    const before = Atomics.load(answers, 0)
    assert.equal(await send('GET', `${path}/c1`), 200)
    const object = { metadata: { name: 'c1' }, data: { i: String(i) } }
    assert.equal(await send('PUT', `${path}/c1`, object), 200)
    between.push(Atomics.load(answers, 0) - before)
  }
  const ended = once(worker, 'exit')
  worker.postMessage('stop')
  await ended
  const median = between.toSorted((a, b) => a - b)[3] ?? Infinity
  // First come, first served, it would be each of the waiting lists before each of the two requests.
  assert.ok(median < sockets / 4, `lists answered during each apply: ${between.join(', ')}`)
  api[Symbol.dispose]()
})

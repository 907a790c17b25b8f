/** What is too large, too deep, too old or no number is refused in Kubernetes' words, and nothing of it is kept. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { coreKinds } from '../api/kinds.ts'
import type { ApiRequest, Verb } from '../api/protocol.ts'
import { StatusError } from '../api/status-error.ts'
import { memoryStore } from '../store/memory-store.ts'
import { createApiServer } from './api-server.ts'
import { decodeBody } from './http/request-body.ts'
import { fieldsOf } from './values.ts'

function world(historyLimit = 1000) {
  const server = createApiServer({
    store: memoryStore({ historyLimit }),
    kinds: coreKinds,
    clock: new SimClock(),
    random: seededRandom(1),
    log: silent,
  })
  return (verb: Verb, name: string, more: Partial<ApiRequest> = {}) =>
    server.handle({
      verb,
      group: '',
      version: 'v1',
      resource: 'configmaps',
      namespace: 'default',
      name,
      options: {},
      user: { username: 'admin', groups: ['system:masters'] },
      durable: true,
      ...more,
    })
}

const configMap = (name: string, data: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { ...metadata, name },
  data,
})

async function refused(promise: Promise<unknown>, code: number, message: string | RegExp) {
  let answer: StatusError | undefined
  await assert.rejects(promise, (thrown: unknown) => {
    assert.ok(thrown instanceof StatusError, String(thrown))
    assert.equal(thrown.code, code, thrown.message)
    if (typeof message === 'string') assert.equal(thrown.message, message)
    else assert.match(thrown.message, message)
    answer = thrown
    return true
  })
  return answer
}

test('an object larger than the store takes is refused, however it came to be so large', async () => {
  const send = world()
  const pods = { resource: 'pods' }
  const large = 'x'.repeat(900_000)
  const pod = (...args: string[]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a' },
    spec: { containers: [{ name: 'c', image: 'i', args }] },
  })
  const tooLarge = 'etcdserver: request is too large'
  await refused(send('create', '', { ...pods, body: pod(large, large) }), 413, tooLarge)
  await send('create', '', { ...pods, body: pod(large) })
  const status = { message: large }
  await refused(
    send('patch', 'a', { ...pods, subresource: 'status', patchType: 'merge', body: { status } }),
    413,
    tooLarge,
  )
  const copy = [{ op: 'copy', from: '/spec/containers/0/args/0', path: '/status/message' }]
  await refused(
    send('patch', 'a', {
      ...pods,
      subresource: 'status',
      patchType: 'json',
      body: copy,
    }),
    413,
    tooLarge,
  )
  const { body } = await send('get', 'a', pods)
  assert.equal(fieldsOf(fieldsOf(body)['status'])['message'], undefined)
})

test('annotations of more than 256 KiB together', async () => {
  const annotations = { a: 'x'.repeat(200_000), b: 'x'.repeat(70_000) }
  await refused(
    world()('create', '', { body: configMap('a', {}, { annotations }) }),
    422,
    /metadata\.annotations: Too long: may not be more than 262144 bytes/,
  )
})

test('10,000 operations are a JSON patch, one more is none', async () => {
  const send = world()
  await send('create', '', { body: configMap('a', { k: '1' }) })
  const operation = { op: 'test', path: '/data/k', value: '1' }
  const patch = (count: number) =>
    send('patch', 'a', { patchType: 'json', body: Array<object>(count).fill(operation) })
  assert.equal((await patch(10_000)).code, 200)
  await refused(
    patch(10_001),
    413,
    'The allowed maximum operations in a JSON patch is 10000, got 10001',
  )
})

test('a list whose token is too old goes on with the one in the refusal', async () => {
  const send = world(50)
  for (const name of ['a', 'b', 'c', 'd']) await send('create', '', { body: configMap(name) })
  const first = fieldsOf((await send('list', '', { options: { limit: 2 } })).body)
  const token = fieldsOf(first['metadata'])['continue']
  assert.ok(typeof token === 'string')
  for (let i = 0; i < 60; i++)
    await send('patch', 'd', { patchType: 'merge', body: { data: { i: String(i) } } })
  const old = await refused(
    send('list', '', { options: { limit: 2, continue: token } }),
    410,
    /^The provided continue parameter is too old to display a consistent list result\..* or use the continue token/,
  )
  const next = old?.metadata['continue']
  assert.ok(typeof next === 'string')
  const rest = fieldsOf((await send('list', '', { options: { limit: 5, continue: next } })).body)
  const items = rest['items']
  assert.ok(Array.isArray(items))
  assert.deepEqual(
    items.map((item) => fieldsOf(fieldsOf(item)['metadata'])['name']),
    ['c', 'd', 'kube-root-ca.crt'],
  )
})

test('numbers that are none, nesting without end, YAML that unfolds', async () => {
  const json = (text: string) => decodeBody(Buffer.from(text), 'application/json', 'Pod')
  await refused(json('{"a":[1e999]}'), 400, /cannot unmarshal number/)
  await refused(json(`{"a":-1${'0'.repeat(400)}}`), 400, /cannot unmarshal number/)
  assert.deepEqual((await json('{"a":"1e999"}')).value, { a: '1e999' })
  await refused(json(`${'['.repeat(600)}${']'.repeat(600)}`), 400, 'json: exceeded max depth')
  const yaml = (text: string) => decodeBody(Buffer.from(text), 'application/yaml', 'Pod')
  let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
  for (let i = 1; i < 9; i++) bomb += `a${i}: &a${i} [${`*a${i - 1}, `.repeat(9).slice(0, -2)}]\n`
  await refused(yaml(bomb), 400, /alias/i)
  await refused(yaml('a: &a\n  b: *a\n'), 400, /./)
  await refused(yaml('['.repeat(5_000)), 400, /./)
})

test('a streamed list: everything there is, then the bookmark that says so, then what changes', async () => {
  const send = world()
  for (const name of ['a', 'b']) await send('create', '', { body: configMap(name) })
  const options = {
    sendInitialEvents: true,
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: true,
    fieldSelector: 'metadata.name!=kube-root-ca.crt',
  }
  const { events } = await send('watch', '', { options })
  assert.ok(events)
  const seen: string[] = []
  for await (const { type, object } of events) {
    const { annotations, name } = object.metadata
    seen.push(`${type} ${name}${annotations?.['k8s.io/initial-events-end'] ?? ''}`)
    if (type === 'BOOKMARK') await send('create', '', { body: configMap('c') })
    if (name === 'c') break
  }
  assert.deepEqual(seen, ['ADDED a', 'ADDED b', 'BOOKMARK true', 'ADDED c'])
  await refused(
    send('watch', '', { options: { sendInitialEvents: true } }),
    422,
    /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan/,
  )
})

test('status is checked as everything is, whoever writes it', async () => {
  const send = world()
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a' },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  }
  const pods = { resource: 'pods', subresource: 'status', durable: false }
  await send('create', '', { resource: 'pods', body: pod })
  const { body: stored } = await send('get', 'a', { resource: 'pods' })
  for (const status of [{ podIP: 5 }, { conditions: {} }, { startTime: 'yesterday' }, 'Running'])
    await refused(
      send('update', 'a', { ...pods, body: { ...fieldsOf(stored), status } }),
      400,
      /Pod in version "v1" cannot be handled as a Pod: /,
    )
  // Parts that are the stored object's own stay as they are, in their place.
  const { body: next } = await send('update', 'a', {
    ...pods,
    body: { ...fieldsOf(stored), status: { phase: 'Running' } },
  })
  assert.equal(fieldsOf(next)['spec'], fieldsOf(stored)['spec'])
  assert.deepEqual(Object.keys(fieldsOf(next)), Object.keys(fieldsOf(stored)))
})

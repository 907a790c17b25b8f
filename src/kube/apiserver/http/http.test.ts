/** The HTTP front over real connections on loopback: forms, limits, streams, callers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { seededRandom } from '../../../lib/random.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { StatusError } from '../../api/status-error.ts'
import { coreKinds } from '../../api/kinds.ts'
import { integer, object } from '../../api/schema.ts'
import { memoryStore } from '../../store/memory-store.ts'
import { createApiServer } from '../api-server.ts'
import { authenticator, serveHttp } from './http.ts'
import type { AnswerUpgrade, PodLogs } from './http.ts'
import { fieldsOf } from '../values.ts'
import type { Fields } from '../values.ts'

const Gadget: KindDefinition = {
  group: 'ex.dev',
  version: 'v1',
  kind: 'Gadget',
  plural: 'gadgets',
  singular: 'gadget',
  namespaced: true,
  description: 'A gadget.',
  schema: object({ spec: object({ size: integer() }) }),
  flavour: 'custom',
  columns: [],
  hasStatus: false,
  hasGeneration: true,
  versions: [
    {
      version: 'v1alpha1',
      schema: object({ spec: object({ size: integer() }) }),
      deprecationWarning: 'ex.dev/v1alpha1 Gadget is deprecated',
      toStorage: (old) => ({ ...old, apiVersion: 'ex.dev/v1' }),
      fromStorage: (stored) => ({ ...stored, apiVersion: 'ex.dev/v1alpha1' }),
    },
  ],
}

const logs: PodLogs = {
  async *read(pod, container, options, signal) {
    yield Buffer.from(`${pod.metadata.name} ${container} ${JSON.stringify(options)}\n`)
    if (!options.follow) return
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  },
}

interface Answer {
  readonly code: number
  readonly type: string
  readonly headers: IncomingMessage['headers']
  readonly text: string
  readonly json: Fields
}

async function start(options: { maxStreams?: number; upgrades?: AnswerUpgrade } = {}) {
  const clock = new SimClock()
  const store = memoryStore()
  const api = createApiServer({
    store,
    kinds: [...coreKinds, Gadget],
    clock,
    random: seededRandom(1),
    log: silent,
  })
  const http = await serveHttp({
    ...options,
    api,
    host: '127.0.0.1',
    port: 0,
    log: silent,
    clock,
    logs,
    authenticate: authenticator({
      tokens: new Map([
        ['root', { username: 'admin', groups: ['system:masters'] }],
        ['dev', { username: 'jane', groups: ['devs'] }],
      ]),
    }),
  })
  const open = (
    method: string,
    path: string,
    { body, headers = {}, token = 'root' }: SendOptions = {},
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const bytes = typeof body === 'object' ? JSON.stringify(body) : (body ?? '')
      const request = httpRequest(`${http.url}${path}`, {
        method,
        agent: false,
        headers: {
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-length': String(Buffer.byteLength(bytes)) }),
          ...headers,
        },
      })
      request.on('response', resolve).on('error', reject)
      request.end(bytes)
    })
  const send = async (method: string, path: string, options?: SendOptions): Promise<Answer> => {
    const response = await open(method, path, options)
    const body = await text(response)
    const type = response.headers['content-type'] ?? ''
    return {
      code: response.statusCode ?? 0,
      type,
      headers: response.headers,
      text: body,
      json: type.startsWith('application/json') && body ? fieldsOf(JSON.parse(body)) : {},
    }
  }
  return {
    clock,
    store,
    http,
    open,
    send,
    [Symbol.asyncDispose]: async () => {
      await http[Symbol.asyncDispose]()
      api[Symbol.dispose]()
    },
  }
}
interface SendOptions {
  readonly body?: object | string
  readonly headers?: Record<string, string | string[]>
  readonly token?: string
}

const configMaps = '/api/v1/namespaces/default/configmaps'
const configMap = (name: string, data: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})

test('objects are made, read, changed and deleted over HTTP', async () => {
  await using server = await start()
  const { send } = server
  const made = await send('POST', configMaps, { body: configMap('a', { k: 'v' }) })
  assert.deepEqual(
    [made.code, made.type, made.json['kind']],
    [201, 'application/json', 'ConfigMap'],
  )
  assert.equal(made.headers['cache-control'], 'no-cache, private')
  const put = await send('PUT', `${configMaps}/a`, {
    body: { ...made.json, data: { k: 'w' } },
    headers: { 'content-type': 'application/json' },
  })
  assert.deepEqual([put.code, put.json['data']], [200, { k: 'w' }])
  const stale = await send('PUT', `${configMaps}/a`, { body: { ...made.json, data: {} } })
  assert.deepEqual([stale.code, stale.json['reason']], [409, 'Conflict'])
  const list = await send('GET', `${configMaps}?fieldSelector=metadata.name%3Da`)
  const [item] = list.json['items'] as Fields[]
  assert.deepEqual([item?.['kind'], item?.['apiVersion']], [undefined, undefined])
  const gone = await send('DELETE', `${configMaps}/a`, {
    body: { propagationPolicy: 'Background' },
  })
  assert.deepEqual([gone.code, gone.json['status']], [200, 'Success'])
  const missing = await send('GET', `${configMaps}/a`)
  assert.deepEqual(missing.json, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'configmaps "a" not found',
    reason: 'NotFound',
    details: { name: 'a', kind: 'configmaps' },
    code: 404,
  })
})

test('patch types come from the Content-Type', async () => {
  await using server = await start()
  const { send } = server
  await send('POST', configMaps, { body: configMap('a', { k: 'v' }) })
  const patch = (type: string, body: object | string) =>
    send('PATCH', `${configMaps}/a`, { body, headers: { 'content-type': type } })
  const json = await patch('application/json-patch+json', [
    { op: 'add', path: '/data/j', value: '1' },
  ])
  assert.deepEqual(json.json['data'], { k: 'v', j: '1' })
  const merge = await patch('application/merge-patch+json', { data: { k: null } })
  assert.deepEqual(merge.json['data'], { j: '1' })
  assert.equal((await patch('text/csv', 'a,b')).code, 415)
  assert.equal((await patch('application/apply-patch+yaml', 'data: {}')).code, 422)
  const broken = await patch('application/merge-patch+json', '{')
  assert.equal(broken.code, 400)
  assert.match(String(broken.json['message']), /^error decoding patch: /)
})

test('a long list comes in pieces and is the same list', async () => {
  await using server = await start()
  const { send } = server
  const gadgets = '/apis/ex.dev/v1/namespaces/default/gadgets'
  for (let i = 0; i < 230; i++) {
    const spec = { size: i }
    await send('POST', gadgets, {
      body: { apiVersion: 'ex.dev/v1', kind: 'Gadget', metadata: { name: `g${i}` }, spec },
    })
    await send('POST', configMaps, { body: configMap(`c${i}`, { k: 'v'.repeat(1000) }) })
  }
  const forms = [
    'application/json',
    'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json',
  ]
  for (const path of [gadgets, configMaps])
    for (const accept of forms) {
      const whole = (await send('GET', path, { headers: { accept } })).json
      // Shorter ones go out as one text.
      const first = (await send('GET', `${path}?limit=150`, { headers: { accept } })).json
      const next = String(fieldsOf(first['metadata'])['continue'])
      const second = (await send('GET', `${path}?continue=${next}`, { headers: { accept } })).json
      const items = [first, second].flatMap(({ items: some }) => (Array.isArray(some) ? some : []))
      assert.ok(items.length >= 230)
      assert.deepEqual(whole, { ...second, items })
      assert.match(JSON.stringify(items[0]), /"fieldsV1":\{"f:/)
    }
  assert.equal((await send('HEAD', configMaps)).code, 200)
})

test('YAML goes in, with the scalars of YAML 1.1, and comes out', async () => {
  await using server = await start()
  const { send } = server
  const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: doc}\ndata: {a: "no"}\n'
  const headers = { 'content-type': 'application/yaml', accept: 'application/yaml' }
  const made = await send('POST', configMaps, { body: yaml, headers })
  assert.deepEqual([made.code, made.type], [201, 'application/yaml'])
  assert.match(made.text, /^kind: ConfigMap$/m)
  const bool = await send('POST', configMaps, { body: yaml.replace('"no"', 'no'), headers })
  assert.equal(bool.code, 400)
  assert.match(String(bool.json['message']), /cannot unmarshal bool/)
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
    .split('')
    .map((key, i) => {
      const before = 'abcdefghi'[i]
      return `${key}: &${key} [*${before},*${before},*${before},*${before},*${before},*${before}]`
    })
    .join('\n')}`
  assert.equal((await send('POST', configMaps, { body: bomb, headers })).code, 400)
})

test('fields that stand twice in YAML are told with their path', async () => {
  await using server = await start()
  const yaml =
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, ownerReferences: [{uid: x, uid: y}]}\ndata: {k: v}\ndata: {k: w}\n'
  const refused = await server.send('POST', `${configMaps}?fieldValidation=Strict`, {
    body: yaml,
    headers: { 'content-type': 'application/yaml' },
  })
  assert.equal(refused.code, 400)
  assert.match(
    refused.text,
    /duplicate field \\"data\\", duplicate field \\"metadata.ownerReferences\[0\].uid\\"/,
  )
})

test('YAML of endless items is refused before it takes the memory', async () => {
  await using server = await start()
  const answer = await server.send('POST', configMaps, {
    body: `a: [${'x,'.repeat(200_000)}]`,
    headers: { 'content-type': 'application/yaml' },
  })
  assert.deepEqual([answer.code, answer.json['reason']], [413, 'RequestEntityTooLarge'])
})

test('a table of an old version comes with the warning of that version', async () => {
  await using server = await start()
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
  const list = (version: string) =>
    server.send('GET', `/apis/ex.dev/${version}/namespaces/default/gadgets`, {
      headers: { accept },
    })
  const old = await list('v1alpha1')
  assert.deepEqual(
    [old.json['kind'], old.headers['warning']],
    ['Table', '299 - "ex.dev/v1alpha1 Gadget is deprecated"'],
  )
  assert.equal((await list('v1')).headers['warning'], undefined)
})

test('whatever is asked of a group that nobody serves is not found; documents are only read', async () => {
  await using server = await start()
  const codes = []
  for (const path of ['/apis/nobody.dev/v1/namespaces/default/jobs', '/healthz'])
    codes.push((await server.send('POST', path, { body: {} })).code)
  assert.deepEqual(codes, [404, 405])
})

test('who am I, in the old form too', async () => {
  await using server = await start()
  const path = '/apis/authentication.k8s.io/v1beta1/selfsubjectreviews'
  const answer = await server.send('POST', path, { body: {}, token: 'dev' })
  assert.deepEqual(
    [answer.code, answer.json['apiVersion'], answer.json['status']],
    [
      201,
      'authentication.k8s.io/v1beta1',
      { userInfo: { username: 'jane', groups: ['devs', 'system:authenticated'] } },
    ],
  )
})

test('tables and partial metadata', async () => {
  await using server = await start()
  const { send } = server
  const accept =
    'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'
  const table = await send('GET', '/api/v1/namespaces?limit=500', { headers: { accept } })
  assert.equal(table.json['kind'], 'Table')
  const [row] = table.json['rows'] as { cells: unknown[]; object: Fields }[]
  assert.deepEqual(row?.cells.slice(0, 2), ['default', 'Active'])
  assert.equal(row?.object['kind'], 'PartialObjectMetadata')
  const partial = await send('GET', '/api/v1/namespaces/default', {
    headers: {
      accept:
        'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
    },
  })
  assert.deepEqual(
    [partial.json['kind'], partial.json['spec']],
    ['PartialObjectMetadata', undefined],
  )
  const none = await send('GET', '/api/v1/namespaces', { headers: { accept: 'image/png' } })
  assert.deepEqual([none.code, none.json['reason']], [406, 'NotAcceptable'])
  const wrong = await send('GET', '/api/v1/namespaces?includeObject=All', { headers: { accept } })
  assert.equal(wrong.code, 400)
})

test('a watch sends its headers at once, then a line an event, and an ERROR when history is gone', async () => {
  await using server = await start()
  const { send, open, store } = server
  const response = await open('GET', `${configMaps}?watch=1&resourceVersion=${store.revision}`)
  assert.equal(response.statusCode, 200)
  await send('POST', configMaps, { body: configMap('w', { k: 'v' }) })
  const events: Fields[] = []
  let rest = ''
  for await (const chunk of response) {
    rest += String(chunk)
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    events.push(...lines.map((line) => fieldsOf(JSON.parse(line))))
    if (events.length > 0) break
  }
  const [{ type, object } = {}] = events
  assert.deepEqual([type, fieldsOf(object)['kind']], ['ADDED', 'ConfigMap'])
  const legacy = await open('GET', '/api/v1/watch/namespaces/default/serviceaccounts')
  assert.match(String((await legacy[Symbol.asyncIterator]().next()).value), /^\{"type":"ADDED"/)
  legacy.destroy()
})

test('a watch of compacted history answers 200 and an ERROR event', async () => {
  await using server = await start()
  const { send, store } = server
  for (let i = 0; i < 20_100; i++)
    store.put('x/y/z', { apiVersion: '', kind: '', metadata: { name: `${i}` } })
  const { code, text } = await send('GET', `${configMaps}?watch=true&resourceVersion=1`)
  assert.equal(code, 200)
  const event = fieldsOf(JSON.parse(text))
  assert.equal(event['type'], 'ERROR')
  const { code: inner, reason, message } = fieldsOf(event['object'])
  assert.deepEqual([inner, reason], [410, 'Expired'])
  assert.match(String(message), /^too old resource version: 1 \(\d+\)$/)
})

test('callers: certificate or token, bad ones are 401, nobody may look at health only', async () => {
  await using server = await start()
  const { send } = server
  const bad = await send('GET', '/api', { token: 'wrong' })
  assert.deepEqual(
    [bad.code, bad.json['reason'], bad.json['message']],
    [401, 'Unauthorized', 'Unauthorized'],
  )
  assert.equal((await send('GET', '/readyz', { token: '' })).text, 'ok')
  const nobody = await send('GET', '/api', { token: '' })
  assert.deepEqual(
    [nobody.code, nobody.json['message']],
    [403, 'forbidden: User "system:anonymous" cannot get path "/api"'],
  )
  const jane = await send('GET', '/api/v1/namespaces/default/pods', { token: 'dev' })
  assert.deepEqual(
    [jane.code, jane.json['message']],
    [
      403,
      'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
    ],
  )
  const review = await send('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    headers: { 'impersonate-user': 'bob', 'impersonate-group': 'devs' },
  })
  assert.deepEqual(fieldsOf(review.json['status'])['userInfo'], {
    username: 'bob',
    groups: ['devs', 'system:authenticated'],
  })
  const denied = await send('GET', '/api', { token: 'dev', headers: { 'impersonate-user': 'x' } })
  assert.match(String(denied.json['message']), /cannot impersonate resource "users"/)
})

test('bad requests are refused in Kubernetes words', async () => {
  await using server = await start()
  const { send } = server
  const message = async (...request: Parameters<typeof send>) => {
    const { code, json } = await send(...request)
    return `${code} ${String(json['message'])}`
  }
  assert.match(
    await message('POST', configMaps, { body: '{"kind":' }),
    /^400 the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: /,
  )
  assert.match(
    await message('GET', `${configMaps}?limit=x`),
    /^400 strconv.ParseInt: parsing "x": invalid syntax$/,
  )
  assert.equal(
    await message('POST', `${configMaps}?dryRun=Some`, { body: configMap('a') }),
    '422 CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "Some": supported values: "All"',
  )
  assert.equal(
    await message('POST', `${configMaps}?fieldValidation=Strict`, {
      body: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"1","a":"2"},"bogus":1}',
    }),
    '400 ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus", duplicate field "data.a"',
  )
  assert.match(
    await message('POST', `${configMaps}/a`, { body: {} }),
    /^405 the server does not allow/,
  )
  assert.match(await message('POST', '/api/v1/configmaps', { body: {} }), /^405 /)
  assert.match(await message('PUT', configMaps, { body: {} }), /^405 /)
  assert.match(
    await message('POST', configMaps, { body: '['.repeat(100_000) }),
    /^400 json: exceeded max depth$/,
  )
  const unknown = await send('GET', '/apis/nobody.dev/v1/things')
  assert.deepEqual([unknown.code, unknown.text], [404, '404 page not found\n'])
  const warned = await send('POST', configMaps, { body: { ...configMap('a'), 'bo"gus': 1 } })
  assert.equal(warned.headers['warning'], '299 - "unknown field \\"bo\\\\\\"gus\\""')
})

/** The refusal comes at once; the connection ends when the sender had time to see it, whatever he still sends. */
async function refusedAsTooLarge(
  { http, clock }: Pick<Awaited<ReturnType<typeof start>>, 'http' | 'clock'>,
  headers: string,
  body: string,
): Promise<void> {
  const socket = connect(http.port, '127.0.0.1')
  const closed = once(socket, 'close')
  socket.write(
    `POST ${configMaps} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer root\r\n${headers}\r\n\r\n${body}`,
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 413 /)
  await clock.advance(5_000)
  await closed
}

test('a body over 3 MiB is refused without being read', async () => {
  await using server = await start()
  const big = await server.send('POST', configMaps, { body: ' '.repeat(3 * 1024 * 1024 + 1) })
  assert.equal(big.code, 413)
  await refusedAsTooLarge(server, 'Content-Length: 99999999', '')
})

test('a body of unknown length is refused when it passes 3 MiB', async () => {
  await using server = await start()
  const chunk = `100000\r\n${' '.repeat(0x100000)}\r\n`
  await refusedAsTooLarge(server, 'Transfer-Encoding: chunked', `${chunk.repeat(3)}1\r\n \r\n`)
})

test('watches beyond the limit are told to come back, other requests go on', async () => {
  await using server = await start({ maxStreams: 2 })
  const { send, open } = server
  const watch = `${configMaps}?watch=1`
  const watches = [await open('GET', watch), await open('GET', watch)]
  const refused = await send('GET', watch)
  assert.deepEqual(
    [refused.code, refused.json['reason'], refused.headers['retry-after']],
    [429, 'TooManyRequests', '1'],
  )
  assert.equal((await send('GET', configMaps)).code, 200)
  for (const each of watches) each.destroy()
  // The server sees the end of a connection a moment later.
  let code
  do {
    const again = await open('GET', watch)
    code = again.statusCode
    again.destroy()
  } while (code === 429)
  assert.equal(code, 200)
})

test('a watcher that stops reading is let go', { timeout: 20_000 }, async () => {
  await using server = await start()
  const { send, open, clock } = server
  const response = await open('GET', `${configMaps}?watch=1`)
  response.pause()
  // More than the kernel takes in between.
  const data = { big: 'x'.repeat(1_000_000) }
  for (let i = 0; i < 20; i++) await send('POST', configMaps, { body: configMap(`c${i}`, data) })
  await clock.advance(61_000)
  // What was on its way still arrives, but the stream is broken off, not ended.
  await assert.rejects(text(response), /aborted/)
})

test('pod logs: parameters, choice of the container, followed streams', async () => {
  await using server = await start()
  const { send, open } = server
  const pod = (name: string, ...containers: string[]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { nodeName: 'n', containers: containers.map((each) => ({ name: each, image: 'i' })) },
  })
  const pods = '/api/v1/namespaces/default/pods'
  await send('POST', pods, { body: pod('one', 'c') })
  await send('POST', pods, { body: pod('two', 'a', 'b') })
  const log = await send('GET', `${pods}/one/log?tailLines=3&timestamps=true`)
  assert.deepEqual([log.code, log.type], [200, 'text/plain'])
  assert.equal(
    log.text,
    'one c {"follow":false,"previous":false,"timestamps":true,"tailLines":3}\n',
  )
  const which = await send('GET', `${pods}/two/log`)
  assert.equal(
    which.json['message'],
    'a container name must be specified for pod two, choose one of: [a b]',
  )
  const wrong = await send('GET', `${pods}/two/log?container=zz`)
  assert.equal(wrong.json['message'], 'container zz is not valid for pod two')
  const previous = await send('GET', `${pods}/one/log?previous=true`)
  assert.equal(previous.json['message'], 'previous terminated container "c" in pod "one" not found')
  const followed = await open('GET', `${pods}/one/log?follow=true`)
  const first = await followed[Symbol.asyncIterator]().next()
  assert.match(String(first.value), /^one c /)
  followed.destroy()
})

test('HEAD answers headers alone; the server says its version', async () => {
  await using server = await start()
  const { send } = server
  const head = await send('HEAD', `${configMaps}/kube-root-ca.crt`)
  assert.deepEqual([head.code, head.text], [200, ''])
  assert.ok(Number(head.headers['content-length']) > 0)
  assert.equal((await send('GET', '/version')).json['minor'], '32')
})

test('disposing ends watches and frees the port', async () => {
  const server = await start()
  const response = await server.open('GET', `${configMaps}?watch=1`)
  await server[Symbol.asyncDispose]()
  await assert.rejects(text(response))
  await assert.rejects(server.open('GET', '/version'))
})

test('connections that upgrade are handed over after the caller was checked', async () => {
  const taken: string[] = []
  await using server = await start({
    upgrades: async ({ socket, path, user, kind, request }) => {
      if (path.subresource !== 'exec')
        throw new StatusError('NotFound', `no ${path.subresource} here`)
      taken.push(`${user.username} ${request.method} ${kind.kind} ${path.name}`)
      socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nhello')
      await once(socket, 'close')
    },
  })
  const ask = async (path: string, token: string): Promise<string> => {
    const socket = connect(server.http.port, '127.0.0.1')
    const auth = token && `Authorization: Bearer ${token}\r\n`
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\n${auth}Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n`,
    )
    return await text(socket)
  }
  const pod = '/api/v1/namespaces/default/pods/a'
  assert.match(await ask(`${pod}/exec`, 'root'), /101 Switching[^]*hello$/)
  assert.match(
    await ask(`${pod}/exec`, 'dev'),
    /403 Forbidden[^]*pods \\"a\\" is forbidden: User \\"jane\\" cannot create resource \\"pods\/exec\\"/,
  )
  assert.match(await ask(`${pod}/exec`, 'nobody'), /401 Unauthorized/)
  assert.match(await ask(`${pod}/attach`, 'root'), /404 Not Found[^]*no attach here/)
  assert.deepEqual(taken, ['admin POST Pod a'])
})

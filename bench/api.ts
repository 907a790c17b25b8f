/**
 * The API server over HTTP in this process, on a store in memory: lists of many objects, many watchers of one kind,
 * applies; and what the controllers' own writes cost, with and without spelled-out field managers.
 */
import type { IncomingMessage } from 'node:http'
import { coreKinds } from '../src/kube/api/kinds.ts'
import { memoryStore } from '../src/kube/store/memory-store.ts'
import { servedApi } from '../src/testing/served-api.ts'
import { median, percentile, type Row } from './row.ts'

export interface ApiSizes {
  readonly objects: number
  readonly watchers: number
  readonly applies: number
}

const tableForm =
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'

export async function rows(
  { objects, watchers, applies }: ApiSizes = { objects: 10_000, watchers: 1_000, applies: 500 },
): Promise<readonly Row[]> {
  await using server = await startServer()
  return [
    ...(await ownWrites(server, applies)),
    ...(await applying(server, applies)),
    ...(await watching(server, watchers)),
    ...(await lists(server, objects)),
  ]
}

type Server = Awaited<ReturnType<typeof startServer>>

async function startServer() {
  const store = memoryStore()
  const served = await servedApi(store, coreKinds)
  const open = (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<IncomingMessage> =>
    served.open({
      method,
      path,
      headers,
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      alone: path.includes('watch=1'),
    })
  /** Sends a request and answers the size of what comes back. */
  const send = async (...request: Parameters<typeof open>): Promise<number> => {
    const response = await open(...request)
    let size = 0
    for await (const chunk of response) size += Buffer.from(chunk).length
    if ((response.statusCode ?? 500) >= 300)
      throw new Error(`${request[1]}: ${response.statusCode}`)
    return size
  }
  return {
    api: served.api,
    store,
    open,
    send,
    [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
  }
}

const pods = '/api/v1/namespaces/default/pods'
const pod = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'bench', 'pod-template-hash': 'abc' } },
  spec: {
    containers: [
      {
        name: 'user-container',
        image: 'registry.local/bench:1',
        ports: [{ containerPort: 8080 }],
        env: [{ name: 'PORT', value: '8080' }],
        resources: { limits: { cpu: '1', memory: '128Mi' } },
      },
    ],
  },
})
const status = (n: number) => ({
  phase: 'Running',
  podIP: '10.0.0.1',
  conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
    type,
    status: n % 2 ? 'True' : 'False',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  })),
})

/** Microseconds of a status write as the controllers make it: by reference, without HTTP. */
async function ownWrites({ api }: Server, count: number): Promise<readonly Row[]> {
  const request = { group: '', version: 'v1', resource: 'pods', namespace: 'default', options: {} }
  const user = { username: 'system:serviceaccount:kube-system:ebb', groups: ['system:masters'] }
  const measure = async (name: string, agent?: string): Promise<number> => {
    const common = { ...request, name, user, durable: false }
    await api.handle({ ...common, verb: 'create', body: pod(name) })
    const write = (n: number, more: object = {}) =>
      api.handle({
        ...common,
        ...more,
        verb: 'patch',
        patchType: 'merge',
        subresource: 'status',
        body: { status: status(n) },
      })
    // A second manager of the status: from now on the fields are spelled out.
    if (agent) await write(0, { agent })
    for (let n = 1; n < count; n++) await write(n)
    const start = performance.now()
    for (let n = 0; n < count * 4; n++) await write(n)
    return ((performance.now() - start) * 1000) / (count * 4)
  }
  return [
    { name: 'a status write of a controller', value: await measure('one'), unit: 'µs' },
    {
      name: 'the same, where another manager wrote status too',
      value: await measure('two', 'other/1'),
      unit: 'µs',
    },
  ]
}

async function applying({ send }: Server, count: number): Promise<readonly Row[]> {
  const deployment = (name: string, replicas: number) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: { app: name } },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: pod(name).spec },
    },
  })
  const apply = async (name: string, replicas: number): Promise<number> => {
    const start = performance.now()
    await send(
      'PATCH',
      `/apis/apps/v1/namespaces/default/deployments/${name}?fieldManager=kubectl&fieldValidation=Strict`,
      deployment(name, replicas),
      { 'content-type': 'application/apply-patch+yaml' },
    )
    return performance.now() - start
  }
  const times = async (replicas: (n: number) => number, names: number): Promise<number[]> => {
    const all: number[] = []
    for (let n = 0; n < count; n++) all.push(await apply(`d${n % names}`, replicas(n)))
    return all
  }
  await times(() => 1, 50)
  const created = await times(() => 1, count + 50)
  const changed = await times((n) => n + 2, 50)
  const same = await times(() => 1, 1)
  const row = (name: string, values: readonly number[]): Row[] => [
    { name: `${name}, p50`, value: median(values), unit: 'ms' },
    { name: `${name}, p99`, value: percentile(values, 99), unit: 'ms' },
  ]
  return [
    ...row('server-side apply that makes a Deployment', created),
    ...row('server-side apply that changes one', changed),
    ...row('server-side apply that changes nothing', same),
  ]
}

async function lists({ api, send }: Server, count: number): Promise<readonly Row[]> {
  const user = { username: 'admin', groups: ['system:masters'] }
  for (let n = 0; n < count; n++)
    await api.handle({
      verb: 'create',
      group: '',
      version: 'v1',
      resource: 'pods',
      namespace: 'default',
      options: { fieldManager: 'bench' },
      body: pod(`p${n}`),
      user,
      durable: false,
    })
  const rows: Row[] = []
  for (const [form, accept] of [
    ['JSON', 'application/json'],
    ['Table', tableForm],
  ] as const) {
    const times: number[] = []
    let size = 0
    let most = 0
    for (let i = 0; i < 5; i++) {
      const before = process.memoryUsage().rss
      const start = performance.now()
      size = await send('GET', pods, undefined, { accept })
      times.push(performance.now() - start)
      most = Math.max(most, process.memoryUsage().rss - before)
    }
    rows.push(
      { name: `list of ${count} pods as ${form}`, value: median(times), unit: 'ms' },
      { name: `list of ${count} pods as ${form}: size`, value: size / 1e6, unit: 'MB' },
      { name: `list of ${count} pods as ${form}: memory it took`, value: most / 1e6, unit: 'MB' },
    )
  }
  return rows
}

async function watching({ send, open, store }: Server, count: number): Promise<readonly Row[]> {
  const collection = '/api/v1/namespaces/default/configmaps'
  const before = process.memoryUsage().rss
  const { revision } = store
  let events = 0
  let arrived = (): void => {}
  const streams = await Promise.all(
    Array.from({ length: count }, async () => {
      const stream = await open('GET', `${collection}?watch=1&resourceVersion=${revision}`)
      stream.setEncoding('utf8').on('error', () => {})
      stream.on('data', (text: string) => {
        events += text.split('\n').length - 1
        arrived()
      })
      return stream
    }),
  )
  const heard = (wanted: number): Promise<void> =>
    new Promise((resolve) => {
      arrived = () => {
        if (events >= wanted) resolve()
      }
      arrived()
    })
  const memory = (process.memoryUsage().rss - before) / 1e6
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'w' }, data: { k: 'v' } }
  await send('POST', collection, body)
  await heard(count)
  const times: number[] = []
  for (let n = 0; n < 20; n++) {
    const wanted = events + count
    const start = performance.now()
    await send(
      'PATCH',
      `${collection}/w`,
      { data: { k: String(n) } },
      {
        'content-type': 'application/merge-patch+json',
      },
    )
    await heard(wanted)
    times.push(performance.now() - start)
  }
  for (const stream of streams) stream.destroy()
  return [
    { name: `${count} watchers: a change has reached all, p50`, value: median(times), unit: 'ms' },
    {
      name: `${count} watchers: memory of one, both ends`,
      value: (memory * 1000) / count,
      unit: 'kB',
    },
  ]
}

/** Requests to the API as a client sends them who means no good: valid ones, and valid ones spoilt somewhere. */
import { randomInt, type Random } from '../../src/lib/random.ts'
import { mutate, pick } from './bytes.ts'

export interface FuzzRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

interface Resource {
  readonly path: string
  readonly plural: string
  readonly namespaced: boolean
  readonly sample: { [name: string]: Json }
}

const container = (): Json => ({
  name: 'c',
  image: 'i:1',
  env: [{ name: 'A', value: '1' }],
  ports: [{ containerPort: 80 }],
  resources: { limits: { cpu: '100m' } },
})
const template = (): Json => ({
  metadata: { labels: { a: 'b' } },
  spec: { containers: [container()], volumes: [{ name: 'v', emptyDir: {} }] },
})
const of = (apiVersion: string, kind: string, rest: { [name: string]: Json }) => ({
  apiVersion,
  kind,
  metadata: { name: 'n0', labels: { a: 'b' }, annotations: { x: 'y' }, finalizers: [] },
  ...rest,
})

/** The kinds that are written to; their lists are what the watches must have added up to. */
export const resources: readonly Resource[] = [
  {
    path: '/api/v1',
    plural: 'configmaps',
    namespaced: true,
    sample: of('v1', 'ConfigMap', { data: { k: 'v' } }),
  },
  {
    path: '/api/v1',
    plural: 'secrets',
    namespaced: true,
    sample: of('v1', 'Secret', { stringData: { k: 'v' } }),
  },
  {
    path: '/api/v1',
    plural: 'pods',
    namespaced: true,
    sample: of('v1', 'Pod', { spec: { containers: [container()] } }),
  },
  {
    path: '/api/v1',
    plural: 'services',
    namespaced: true,
    sample: of('v1', 'Service', { spec: { selector: { a: 'b' }, ports: [{ port: 80 }] } }),
  },
  { path: '/api/v1', plural: 'namespaces', namespaced: false, sample: of('v1', 'Namespace', {}) },
  {
    path: '/apis/apps/v1',
    plural: 'deployments',
    namespaced: true,
    sample: of('apps/v1', 'Deployment', {
      spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: template() },
    }),
  },
  {
    path: '/apis/coordination.k8s.io/v1',
    plural: 'leases',
    namespaced: true,
    sample: of('coordination.k8s.io/v1', 'Lease', {
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15 },
    }),
  },
  {
    path: '/apis/serving.knative.dev/v1',
    plural: 'services',
    namespaced: true,
    sample: of('serving.knative.dev/v1', 'Service', {
      spec: { template: { spec: { containers: [{ image: 'ghcr.io/a/b' }] } } },
    }),
  },
]

const names = ['n0', 'n1', 'n2', 'n3']
const namespaces = ['default', 'kube-public', 'n0', 'absent']

const oddValues = (random: Random): Json =>
  pick<() => Json>(random, [
    () => null,
    () => true,
    () => -1,
    () => 1e308,
    () => Number.MAX_SAFE_INTEGER,
    () => 0.1,
    () => '',
    () => 'x'.repeat(randomInt(random, 70)),
    () => '\u0000\ud800é',
    () => [],
    () => ({}),
    () => [{}],
    () => [null, 1, 'a', {}],
    () => ({ $patch: pick(random, ['delete', 'replace', 'merge', 'bad']) }),
    () => ({ $retainKeys: ['a'] }),
    () => [{ name: 'c', $patch: 'delete' }],
    () => deep(1 + randomInt(random, 300)),
    () => 'y'.repeat(randomInt(random, 300_000)),
  ])()

function deep(levels: number): Json {
  let value: Json = 1
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { a: value }
  return value
}

const oddKeys = [
  'spec',
  'metadata',
  'data',
  'status',
  '__proto__',
  'constructor',
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'managedFields',
  'finalizers',
  'ownerReferences',
  'deletionTimestamp',
  'generateName',
  'labels',
  'annotations',
  'replicas',
  'containers',
  '$setElementOrder/containers',
  '$deleteFromPrimitiveList/finalizers',
  'bogus',
  '',
  'a/b/c',
]

/** Changes one place of a value, perhaps deep inside; answers the value or what has come in its stead. */
function spoil(random: Random, value: Json): Json {
  if (random.next() < 0.15 || typeof value !== 'object' || value === null) return oddValues(random)
  if (Array.isArray(value)) {
    if (value.length === 0 || random.next() < 0.3) return [...value, ...value, oddValues(random)]
    const at = randomInt(random, value.length)
    return value.map((item, i) => (i === at ? spoil(random, item) : item))
  }
  const keys = Object.keys(value)
  if (keys.length === 0 || random.next() < 0.35)
    return { ...value, [pick(random, oddKeys)]: oddValues(random) }
  const key = pick(random, keys)
  if (random.next() < 0.15) {
    const { [key]: _, ...rest } = value
    return rest
  }
  return { ...value, [key]: spoil(random, value[key] ?? null) }
}

function objectOf(random: Random, { sample }: Resource, name: string): Json {
  const named: Json = { ...sample, metadata: { ...(sample['metadata'] as object), name } }
  let value: Json = named
  for (let n = randomInt(random, 4); n > 0; n--) value = spoil(random, value)
  return value
}

const operations = (random: Random): Json =>
  Array.from({ length: randomInt(random, 5) }, () => ({
    op: pick(random, ['add', 'remove', 'replace', 'move', 'copy', 'test', 'nonsense']),
    path: pick(random, [
      '',
      '/',
      '/metadata/labels/a',
      '/spec/replicas',
      '/data/k',
      '/spec/template/spec/containers/0/env/-',
      '/metadata/managedFields',
      '/__proto__/x',
      '/metadata/finalizers/-',
      'no',
    ]),
    from: pick(random, ['', '/metadata', '/spec', '/data/k', '/metadata/labels']),
    value: oddValues(random),
  }))

const options: readonly (readonly [string, readonly string[]])[] = [
  ['dryRun', ['All', 'no', '']],
  ['fieldManager', ['m1', 'm2', 'x'.repeat(200), 'é\n']],
  ['fieldValidation', ['Strict', 'Warn', 'Ignore', 'Foo']],
  ['force', ['true', 'false', 'x']],
  ['labelSelector', ['a=b', 'a in (b,c)', '!a', 'a in (', '((((', 'a>1', 'x'.repeat(500)]],
  ['fieldSelector', ['metadata.name=n0', 'spec.foo=1', 'metadata.namespace!=default', 'a\\', '=']],
  ['limit', ['1', '2', '-1', '0', 'x', '999999999999999']],
  ['continue', ['x', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0']],
  ['resourceVersion', ['0', '1', '50', 'x', '-1', '99999999999999999999']],
  ['resourceVersionMatch', ['Exact', 'NotOlderThan', 'x']],
  ['sendInitialEvents', ['true', 'false']],
  ['allowWatchBookmarks', ['true']],
  ['propagationPolicy', ['Background', 'Foreground', 'Orphan', 'x']],
  ['gracePeriodSeconds', ['0', '-1', '5', 'x']],
  ['pretty', ['1']],
  ['includeObject', ['Object', 'None', 'x']],
]

function query(random: Random, more: Readonly<Record<string, string>> = {}): string {
  const given = new URLSearchParams(more)
  for (let n = randomInt(random, 3); n > 0; n--) {
    const [name, values] = pick(random, options)
    given.set(name, pick(random, values))
  }
  const text = given.toString()
  return text === '' ? '' : `?${text}`
}

const accepts = [
  'application/json',
  'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
  'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json',
  'application/yaml',
  'application/vnd.kubernetes.protobuf,application/json',
  'text/csv',
]

const bomb = (random: Random): string => {
  const width = 2 + randomInt(random, 20)
  let text = `a0: &a0 [${'x, '.repeat(width)}x]\n`
  for (let i = 1; i < 3 + randomInt(random, 8); i++)
    text += `a${i}: &a${i} [${`*a${i - 1}, `.repeat(width).slice(0, -2)}]\n`
  return text
}

/** A body as bytes, now and then broken below the level of JSON. */
function bytesOf(random: Random, value: Json, headers: Record<string, string>): Buffer {
  const chance = random.next()
  if (chance < 0.02) return Buffer.alloc(4 * 1024 * 1024, 0x20)
  if (chance < 0.04) return Buffer.from(`${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`)
  if (chance < 0.06) return Buffer.from('{"apiVersion":"v1","a":1e999,"a":2}')
  if (chance < 0.08) {
    headers['content-type'] = 'application/yaml'
    return Buffer.from(bomb(random))
  }
  if (chance < 0.1) {
    headers['content-type'] = 'application/vnd.kubernetes.protobuf'
    return mutate(Buffer.from('k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x10\n\x0e\n\x02n0'), random)
  }
  const text = Buffer.from(JSON.stringify(value) ?? 'null')
  return chance < 0.15 ? mutate(text, random) : text
}

const patchTypes = [
  'json-patch+json',
  'merge-patch+json',
  'strategic-merge-patch+json',
  'apply-patch+yaml',
]

/** One request, as chance wants it. */
export function fuzzRequest(random: Random): FuzzRequest {
  const resource = pick(random, resources)
  const name = pick(random, names)
  const headers: Record<string, string> = {
    accept: random.next() < 0.8 ? 'application/json' : pick(random, accepts),
    'user-agent': pick(random, ['fuzz/1', 'kubectl/v1.31 (x)', '']),
  }
  const root = resource.namespaced
    ? `${resource.path}/namespaces/${pick(random, random.next() < 0.8 ? ['default'] : namespaces)}`
    : resource.path
  const collection = `${root}/${resource.plural}`
  const sub =
    random.next() < 0.15
      ? `/${pick(random, ['status', 'scale', 'finalize', 'eviction', 'binding', 'log', 'token', 'x'])}`
      : ''
  const request = (method: string, path: string, value?: Json): FuzzRequest => ({
    method,
    path,
    headers,
    body: value === undefined ? undefined : bytesOf(random, value, headers),
  })
  const chance = random.next()
  if (chance < 0.3) {
    headers['content-type'] = pick(random, ['application/json', 'application/yaml', 'text/plain'])
    return request(
      'POST',
      `${collection}${sub && `/${name}${sub}`}${query(random)}`,
      objectOf(random, resource, name),
    )
  }
  if (chance < 0.4)
    return request(
      'PUT',
      `${collection}/${name}${sub}${query(random)}`,
      objectOf(random, resource, name),
    )
  if (chance < 0.7) {
    const type = pick(random, patchTypes)
    headers['content-type'] = `application/${type}`
    const apply = type.startsWith('apply')
    const more: Record<string, string> =
      apply && random.next() < 0.9
        ? {
            fieldManager: pick(random, ['m1', 'm2']),
            ...(random.next() < 0.4 && { force: 'true' }),
          }
        : {}
    const body = type.startsWith('json') ? operations(random) : objectOf(random, resource, name)
    return request('PATCH', `${collection}/${name}${sub}${query(random, more)}`, body)
  }
  if (chance < 0.8) return request('GET', `${collection}/${name}${sub}${query(random)}`)
  if (chance < 0.9)
    return request(
      'GET',
      `${random.next() < 0.5 ? collection : `${resource.path}/${resource.plural}`}${query(random)}`,
    )
  if (chance < 0.97)
    return request(
      'DELETE',
      `${collection}/${name}${sub}${query(random)}`,
      random.next() < 0.3 ? oddValues(random) : undefined,
    )
  if (chance < 0.98) return request('DELETE', `${collection}${query(random)}`)
  return request(
    pick(random, ['GET', 'POST', 'OPTIONS', 'TRACE']),
    pick(random, [
      '/',
      '/api/v1/%zz',
      '/apis/x/y/z',
      '/openapi/v3',
      `${collection}/..%2f..`,
      `/api/v1/watch/${resource.plural}?timeoutSeconds=1`,
      '/version',
      '/metrics',
    ]),
  )
}

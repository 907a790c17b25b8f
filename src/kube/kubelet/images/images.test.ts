import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import {
  fakeRegistry,
  layerOf,
  pullBench,
  type FakeRegistry,
  type PullBench,
} from '../../../testing/registry.ts'
import { readManifest } from '../../../image/manifest.ts'
import { Secret } from '../../api/secret.ts'
import { ServiceAccount } from '../../api/service-account.ts'
import { notFound } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'
import { openImages } from './images.ts'
import { pulledText, secondsText } from './pulled-text.ts'
import { pullKeys } from './pull-secrets.ts'
import type { Images } from '../runtime.ts'

interface Bench {
  readonly registry: FakeRegistry
  readonly bench: PullBench
  readonly images: Images
  readonly name: string
}

async function open(t: TestContext): Promise<Bench> {
  const registry = await fakeRegistry(t)
  registry.image('v1', [registry.blob(await layerOf('one'))])
  const bench = await pullBench(t)
  const images = openImages(bench.store, undefined, {
    clock: bench.clock,
    open: async () => bench.puller,
  })
  return { registry, bench, images, name: `${registry.host}/app:v1` }
}

const reason = (text: string) => (error: unknown) =>
  (error as { readonly reason?: string }).reason === text

test('IfNotPresent pulls once, Always asks each time, Never not at all', async (t) => {
  const { registry, images, name } = await open(t)
  await assert.rejects(images.ensure(name, 'Never'), reason('ErrImageNeverPull'))
  assert.equal(registry.requests.length, 0)
  let told = 0
  const request = { onPulling: () => told++ }
  const first = await images.ensure(name, 'IfNotPresent', request)
  assert.match(first.imageID, /^127\.0\.0\.1:\d+\/app@sha256:\w{64}$/)
  assert.ok((first.pulled?.sizeBytes ?? 0) > 0)
  const before = registry.requests.length
  assert.equal((await images.ensure(name, 'IfNotPresent', request)).pulled, undefined)
  assert.equal((await images.ensure(first.imageID, 'IfNotPresent', request)).pulled, undefined)
  assert.equal((await images.ensure(name, 'Never', request)).pulled, undefined)
  assert.deepEqual([registry.requests.length, told], [before, 1])
  registry.image('v1', [registry.blob(await layerOf('two'))])
  const second = await images.ensure(name, 'Always', request)
  assert.notEqual(second.imageID, first.imageID)
  assert.ok(second.pulled)
  assert.equal(told, 2)
})

test('what was built under a name is never asked for elsewhere', async (t) => {
  const { registry, bench, images, name } = await open(t)
  const { digest } = await bench.pull(name)
  await bench.store.tag(name, digest, 1)
  const before = registry.requests.length
  assert.equal((await images.ensure(name, 'Always')).pulled, undefined)
  assert.match(await images.resolve(name), new RegExp(digest))
  assert.equal(registry.requests.length, before)
})

test('a digest is the registry’s; without a network, the last one seen', async (t) => {
  const { registry, images, name } = await open(t)
  const resolved = await images.resolve(name)
  assert.equal(await images.isPresent?.(name), false)
  await images.ensure(name, 'IfNotPresent')
  assert.equal(await images.isPresent?.(name), true)
  const other = registry.image('v1', [registry.blob(await layerOf('two'))])
  assert.match(await images.resolve(name), new RegExp(other.digest))
  registry.intercept = (request) => (request.destroy(), true)
  assert.equal(await images.resolve(name), resolved)
  await assert.rejects(images.resolve(`${registry.host}/app:v2`), /can't be reached/)
})

test('what was damaged since it came, comes again', async (t) => {
  const { bench, images, name } = await open(t)
  const { digest } = await bench.pull(name)
  const { layers } = await readManifest(bench.store, digest)
  const [layer] = layers
  assert.ok(layer)
  await writeFile(bench.store.blobPath(layer.digest), 'damaged')
  assert.ok((await images.ensure(name, 'IfNotPresent')).pulled)
  await rm(bench.store.blobPath(digest))
  assert.ok((await images.ensure(name, 'IfNotPresent')).pulled, 'pruned by another process')
})

test('whoever waits for a pull can be told to stop', async (t) => {
  const { registry, images, name } = await open(t)
  registry.intercept = () => true
  const stop = new AbortController()
  const waiting = images.ensure(name, 'IfNotPresent', {
    signal: stop.signal,
    onPulling: () => stop.abort(),
  })
  await assert.rejects(waiting, /the pod is being stopped/)
})

test('names of nothing', async (t) => {
  const { images } = await open(t)
  await assert.rejects(images.ensure('dev.local/UPPER', 'Always'), reason('InvalidImageName'))
  await assert.rejects(
    images.ensure('dev.local/none', 'Always'),
    /not found in this machine's image store/,
  )
})

test('keys of a pod: its own secrets, both types, and those of its account', async () => {
  const secret = (name: string, type: string, key: string, text: string): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    type,
    data: { [key]: Buffer.from(text).toString('base64') },
  })
  const auth = (user: string) => ({ username: user, password: 'p' })
  const stored = [
    secret(
      'new',
      'kubernetes.io/dockerconfigjson',
      '.dockerconfigjson',
      JSON.stringify({ auths: { 'a.test': auth('new') } }),
    ),
    secret(
      'old',
      'kubernetes.io/dockercfg',
      '.dockercfg',
      JSON.stringify({ 'b.test': auth('old') }),
    ),
    secret(
      'account',
      'kubernetes.io/dockerconfigjson',
      '.dockerconfigjson',
      JSON.stringify({ auths: { 'c.test': auth('account') } }),
    ),
    secret('opaque', 'Opaque', '.dockerconfigjson', '{}'),
    secret('broken', 'kubernetes.io/dockercfg', '.dockercfg', '{'),
  ]
  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'puller' },
    imagePullSecrets: [{ name: 'account' }],
  }
  const get = async (kind: { readonly kind: string }, { name }: { readonly name: string }) => {
    const found =
      kind.kind === 'Secret' ? stored.find((item) => item.metadata.name === name) : account
    if (!found || (kind.kind === 'ServiceAccount' && name !== 'puller'))
      throw notFound(Secret, name)
    return found
  }
  const client = { get } as unknown as Pick<Client, 'get'>
  const missing: string[] = []
  const names = ['new', 'old', 'opaque', 'broken', 'none'].map((name) => ({ name }))
  const keys = await pullKeys(
    client,
    { namespace: 'n', serviceAccountName: 'puller', imagePullSecrets: names },
    (list) => missing.push(...list),
  )
  const users = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (host) => (await keys.find(`${host}.test`, 'x'))[0]?.username),
  )
  assert.deepEqual(users, ['new', 'old', 'account', undefined])
  assert.deepEqual(missing, ['opaque', 'broken', 'none'])
})

test('how long it took', () => {
  assert.deepEqual([0, 0.4, 312.7, 1500, 62_500, 3_600_000].map(secondsText), [
    '0s',
    '0s',
    '312ms',
    '1.5s',
    '1m2.5s',
    '1h0m0s',
  ])
  assert.equal(
    pulledText('a:b', { pulled: { tookMs: 1500, sizeBytes: 7 } }),
    'Successfully pulled image "a:b" in 1.5s (1.5s including waiting). Image size: 7 bytes.',
  )
  assert.equal(pulledText('a:b', {}), 'Container image "a:b" already present on machine')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupKind, type Kind } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { Cache } from '../../../kube/client/cache.ts'
import { silent } from '../../../lib/log.ts'
import { issue } from '../../../platform/access/certificate-issue.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Ingress } from '../../api/ingress.ts'
import type { FeedSource } from '../ingress/feed-client.ts'
import type { Fact } from '../ingress/feed-part.ts'
import { certifiedName, localCertificates } from './local-certificates.ts'
import { servingCertificates } from './serving-certificates.ts'

/** Informer caches of a test, and word of their changes. */
function source() {
  const caches = new Map<string, Cache<KubeObject>>()
  const listeners = new Map<string, Set<(object: KubeObject) => void>>()
  const cache = (kind: Kind) => {
    const name = groupKind(kind)
    let found = caches.get(name)
    if (!found) caches.set(name, (found = new Cache<KubeObject>()))
    return found
  }
  const changed = (kind: Kind, object: KubeObject) => {
    for (const listener of listeners.get(groupKind(kind)) ?? []) listener(object)
  }
  const feed: FeedSource = {
    read: {
      get: (kind, key) => cache(kind).get(key) as never,
      list: (kind, namespace, labels = {}) => cache(kind).list(namespace, labels) as never,
      owned: (kind, owner) => cache(kind).owned(owner) as never,
    },
    synced: () => Promise.resolve(),
    onChange(kind, listener) {
      const all = listeners.get(groupKind(kind)) ?? new Set()
      listeners.set(groupKind(kind), all.add(listener))
      return () => all.delete(listener)
    },
  }
  return {
    feed,
    put: (kind: Kind, object: KubeObject) => {
      cache(kind).put(object)
      changed(kind, object)
    },
    remove: (kind: Kind, object: KubeObject) => {
      cache(kind).remove(keyOf(object))
      changed(kind, object)
    },
  }
}

const pair = await issue({
  subject: 'CN=test',
  hosts: ['a.example.com'],
  notBefore: new Date(0),
  notAfter: new Date(4e12),
})
const encode = (text: string) => Buffer.from(text).toString('base64')
const secret = (key: string = pair.key): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'ns' },
  data: { 'tls.crt': encode(pair.cert), 'tls.key': encode(key) },
})
const ingress = (name: string, ...hosts: readonly string[]): Ingress => ({
  apiVersion: 'networking.internal.knative.dev/v1alpha1',
  kind: 'Ingress',
  metadata: { name, namespace: 'ns' },
  spec: { tls: [{ hosts, secretName: 's', secretNamespace: 'ns' }] },
})
const told = (facts: readonly Fact[]) =>
  facts.map((fact) =>
    fact.type === 'certificate'
      ? `${fact.certificate.key} ${fact.certificate.hosts.join()}`
      : fact.type === 'certificate-gone'
        ? `gone ${fact.key}`
        : fact.type,
  )

test('the gateway is told a Secret with all hosts that name it, until none does', async () => {
  const { feed, put, remove } = source()
  using part = servingCertificates(feed, silent)
  const facts: Fact[] = []
  part.onChange((fact) => facts.push(fact))
  const now = () => told(facts.splice(0))
  await part.synced()
  put(Secret, secret())
  assert.deepEqual(now(), [], 'nobody names it')
  put(Ingress, ingress('one', 'B.example.com'))
  assert.deepEqual(now(), ['ns/s b.example.com'])
  put(Ingress, ingress('two', 'a.example.com'))
  assert.deepEqual(now(), ['ns/s a.example.com,b.example.com'])
  assert.deepEqual(told([...part.all()]), ['ns/s a.example.com,b.example.com'])
  put(Ingress, ingress('two', 'a.example.com'))
  put(Secret, secret())
  assert.deepEqual(now(), [], 'nothing has changed')
  remove(Ingress, ingress('one'))
  assert.deepEqual(now(), ['ns/s a.example.com'])
  remove(Ingress, ingress('two'))
  assert.deepEqual(now(), ['gone ns/s'])
})

test('a Secret that comes late is told, a broken one leaves what was there, a deleted one ends it', async () => {
  const { feed, put, remove } = source()
  put(Ingress, ingress('one', 'a.example.com'))
  using part = servingCertificates(feed, silent)
  put(Ingress, ingress('one', 'a.example.com'))
  await part.synced()
  const facts: Fact[] = []
  part.onChange((fact) => facts.push(fact))
  const now = () => told(facts.splice(0))
  put(Secret, secret())
  assert.deepEqual(now(), ['ns/s a.example.com'])
  put(Secret, secret('nonsense'))
  assert.deepEqual(now(), [])
  assert.equal([...part.all()].length, 1)
  remove(Secret, secret())
  assert.deepEqual(now(), ['gone ns/s'])
})

test('what others than Ingresses name is told apart, and told anew with its Secret', async () => {
  const { feed, put, remove } = source()
  using part = servingCertificates(feed, silent)
  const facts: Fact[] = []
  part.onChange((fact) => facts.push(fact))
  const now = () => told(facts.splice(0))
  put(Ingress, ingress('one', 'a.example.com'))
  part.name('Gateway ns/g', new Map([['ns/s', ['b.example.com']]]))
  await part.synced()
  assert.deepEqual(now(), [])
  put(Secret, secret())
  assert.deepEqual(now(), ['ns/s a.example.com', '~gateway/ns/s b.example.com'])
  part.name('Gateway ns/g', new Map())
  assert.deepEqual(now(), ['gone ~gateway/ns/s'])
  remove(Secret, secret())
  assert.deepEqual(now(), ['gone ns/s'])
})

test('hosts of our own domains are certified beside each other, others refused', async () => {
  assert.equal(certifiedName('hello.default.localhost'), '*.default.localhost')
  assert.equal(certifiedName('hello.localhost'), 'hello.localhost')
  const { feed, put } = source()
  put(ConfigMap, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'config-domain', namespace: 'knative-serving' },
    data: { localhost: 'port: 8080\n' },
  } as KubeObject)
  const clock = new SimClock()
  const signed: string[] = []
  let working = true
  const local = {
    sign: (names: readonly string[]) => {
      signed.push(...names)
      return working
        ? Promise.resolve({ chain: `chain ${signed.length}`, privateKey: 'key' })
        : Promise.reject(new Error('no'))
    },
  }
  using part = localCertificates({ source: feed, local, clock, log: silent })
  const facts: Fact[] = []
  part.onChange((fact) => facts.push(fact))
  part.wanted('a.default.localhost')
  part.wanted('b.default.localhost')
  part.wanted('a.example.com')
  await clock.advance(0)
  assert.deepEqual(signed, ['*.default.localhost'])
  assert.deepEqual(told(facts), [
    'certificate-refused',
    'local/*.default.localhost *.default.localhost',
  ])
  await clock.advance(15 * 86_400_000)
  assert.equal(signed.length, 2, 'renewed')
  working = false
  part.wanted('a.other.localhost')
  await clock.advance(0)
  assert.equal(told(facts).at(-1), 'certificate-refused')
})

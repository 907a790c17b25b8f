import assert from 'node:assert/strict'
import { test } from 'node:test'
import { aRoute } from '../../../testing/serving.ts'
import { configDomain } from '../../api/config/domain.ts'
import { configNetwork } from '../../api/config/network.ts'
import { groupHosts, InvalidDomain } from './hosts.ts'

const hosts = (
  name: string,
  tag: string,
  options: {
    domain?: Record<string, string>
    network?: Record<string, string>
    labels?: object
    hidden?: boolean
  } = {},
) =>
  groupHosts(aRoute(name, [], { labels: { ...options.labels } }), tag, options.hidden ?? false, {
    domain: configDomain.parse(options.domain ?? { 'example.com': '' }),
    network: configNetwork.parse(options.network ?? {}),
  })

test('outside under the domain, inside under three names, always', () => {
  assert.deepEqual(hosts('hello', ''), {
    name: 'hello',
    visibility: 'ExternalIP',
    external: ['hello.default.example.com'],
    local: ['hello.default', 'hello.default.svc', 'hello.default.svc.cluster.local'],
    url: 'http://hello.default.example.com',
    host: 'hello.default.example.com',
  })
  const blue = hosts('hello', 'blue')
  assert.equal(blue.url, 'http://blue-hello.default.example.com')
  assert.equal(blue.local[0], 'blue-hello.default')
})

test('the port of a domain is in the URL, not in the host', () => {
  const { url, host } = hosts('hello', '', { domain: { localhost: 'port: 8080' } })
  assert.equal(url, 'http://hello.default.localhost:8080')
  assert.equal(host, 'hello.default.localhost')
})

test('no domain, the label, and a hidden placeholder keep a group inside', () => {
  const inside = (found: ReturnType<typeof hosts>) => {
    assert.equal(found.visibility, 'ClusterLocal')
    assert.deepEqual(found.external, [])
    assert.equal(found.url, 'http://hello.default.svc.cluster.local')
  }
  inside(hosts('hello', '', { domain: {} }))
  inside(hosts('hello', '', { labels: { 'networking.knative.dev/visibility': 'cluster-local' } }))
  inside(
    hosts('hello', '', { hidden: true, network: { 'domain-template': '{{.Name}}.{{.Domain}}' } }),
  )
})

test('templates make the names', () => {
  const network = {
    'domain-template': '{{.Name}}-{{.Namespace}}.{{.Domain}}',
    'tag-template': '{{.Name}}-{{.Tag}}',
    'default-external-scheme': 'https',
  }
  assert.equal(hosts('hello', 'blue', { network }).url, 'https://hello-blue-default.example.com')
})

test('a name that is no host is refused with what is wrong with it', () => {
  assert.throws(
    () => hosts('a'.repeat(60), 'blue'),
    (error) =>
      error instanceof InvalidDomain &&
      error.message.endsWith('must be no more than 63 characters'),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Kind } from '../../../kube/api/kind.ts'
import { keyText, type KubeObject } from '../../../kube/api/meta.ts'
import { dialOf, type DialWorld } from './dial.ts'

const at = (port: number) => ({ host: '127.0.0.1', port })
const world: DialWorld = { gateway: at(1), engine: at(2), secure: at(3), jobSink: at(4) }

interface Written {
  readonly spec: object
  readonly metadata?: object
  /** Of its Endpoints; absent = there are none. */
  readonly addresses?: readonly string[]
}

/** Services of the namespace `shop`. */
const shop: Readonly<Record<string, Written>> = {
  plain: {
    spec: { selector: { app: 'a' }, ports: [{ port: 80, targetPort: 8080 }] },
    addresses: ['10.0.0.1', '10.0.0.2'],
  },
  asleep: { spec: { selector: { app: 'b' }, ports: [{ port: 80 }] } },
  byHand: { spec: { ports: [{ port: 80, targetPort: 8080 }] }, addresses: ['192.168.1.7'] },
  alias: { spec: { type: 'ExternalName', externalName: 'plain.shop.svc.cluster.local.' } },
  outside: { spec: { type: 'ExternalName', externalName: 'api.example.com' } },
  circle: { spec: { type: 'ExternalName', externalName: 'circle.shop.svc.cluster.local' } },
  served: {
    metadata: {
      ownerReferences: [
        { apiVersion: 'x/v1', kind: 'Route', name: 'r', uid: 'u', controller: true },
      ],
    },
    spec: {
      type: 'ExternalName',
      externalName: 'istio-ingressgateway.istio-system.svc.cluster.local',
    },
  },
  revision: {
    metadata: {
      ownerReferences: [{ apiVersion: 'x/v1', kind: 'R', name: 'r', uid: 'u', controller: true }],
    },
    spec: { ports: [{ port: 80 }] },
    addresses: ['127.0.0.1'],
  },
  channel: {
    metadata: { labels: { 'messaging.knative.dev/role': 'in-memory-channel' } },
    spec: {
      type: 'ExternalName',
      externalName: 'imc-dispatcher.knative-eventing.svc.cluster.local',
    },
  },
}

const objects = new Map<string, KubeObject>(
  Object.entries(shop).flatMap(([name, { spec, metadata, addresses }]) => {
    const key = keyText({ namespace: 'shop', name: name.toLowerCase() })
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name, ...metadata }, spec }
    const subset = { addresses: addresses?.map((ip) => ({ ip })), ports: [{ port: 8080 }] }
    const endpoints = {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name },
      subsets: [subset],
    }
    const alone: readonly (readonly [string, KubeObject])[] = [[`Service ${key}`, service]]
    return addresses ? [...alone, [`Endpoints ${key}`, endpoints] as const] : alone
  }),
)
const read = {
  get: <T extends KubeObject>({ kind }: Kind<T>, key: { namespace: string; name: string }) =>
    objects.get(`${kind} ${keyText(key)}`) as T | undefined,
}
const dialled = (url: string): string | undefined =>
  dialOf(url, read, world)
    ?.map(({ host, port }) => `${host}:${port}`)
    .join(' ')

test('where is connected to for a URL', () => {
  const cases: Readonly<Record<string, string | undefined>> = {
    'http://plain.shop.svc.cluster.local': '10.0.0.1:8080 10.0.0.2:8080',
    'http://plain.shop.svc': '10.0.0.1:8080 10.0.0.2:8080',
    // As the search domains of a pod would have it.
    'http://plain.shop/x': '10.0.0.1:8080 10.0.0.2:8080',
    'http://asleep.shop.svc.cluster.local': '',
    'http://byhand.shop.svc.cluster.local': '192.168.1.7:8080',
    'http://alias.shop.svc.cluster.local': '10.0.0.1:8080 10.0.0.2:8080',
    'http://outside.shop.svc.cluster.local': 'api.example.com:80',
    'https://outside.shop.svc.cluster.local:8443': 'api.example.com:8443',
    'http://circle.shop.svc.cluster.local': '127.0.0.1:1',
    'http://served.shop.svc.cluster.local': '127.0.0.1:1',
    'http://served.shop': '127.0.0.1:1',
    'http://revision.shop.svc.cluster.local': '127.0.0.1:1',
    'http://nobody.shop.svc.cluster.local': '127.0.0.1:1',
    'http://channel.shop.svc.cluster.local': '127.0.0.1:2',
    'http://channel.shop': '127.0.0.1:2',
    'http://broker-ingress.knative-eventing.svc.cluster.local/shop/default': '127.0.0.1:2',
    'http://broker-ingress.knative-eventing/shop/default': '127.0.0.1:2',
    'https://broker-ingress.knative-eventing.svc/shop/default': '127.0.0.1:3',
    'http://job-sink.knative-eventing.svc/shop/j': '127.0.0.1:4',
    // The URL that a Service of Serving shows: no resolver of the machine need know it (RFC 6761).
    'http://hello.shop.localhost:8081/x': '127.0.0.1:8081',
    'http://hello.localhost': '127.0.0.1:80',
    'http://localhost:8081': undefined,
    'http://example.com': undefined,
    'http://nobody.shop': undefined,
    'http://10.0.0.1:8080': undefined,
    nonsense: undefined,
  }
  for (const [url, expected] of Object.entries(cases)) assert.equal(dialled(url), expected, url)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreKinds } from '../../kube/api/kinds.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import type { ApiRequest } from '../../kube/api/protocol.ts'
import { hasReason, StatusError } from '../../kube/api/status-error.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { HTTPRoute } from './http-route.ts'
import { routingKinds } from './kinds.ts'
import { VirtualService } from './virtual-service.ts'

async function server() {
  const platform = inMemoryPlatform({
    kinds: [...coreKinds, ...routingKinds],
    clock: new SimClock(),
  })
  try {
    await platform.client.create(Namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'default' },
    })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
  let count = 0
  const metadata = () => ({ name: `r${count++}`, namespace: 'default' })
  const refusal = async (made: Promise<KubeObject>): Promise<string> => {
    try {
      await made
    } catch (error) {
      assert.ok(error instanceof StatusError)
      assert.equal(error.code, 422, error.message)
      return error.message
    }
    return 'accepted'
  }
  return {
    ...platform,
    route: (spec: object) =>
      refusal(
        platform.client.create(HTTPRoute, {
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'HTTPRoute',
          metadata: metadata(),
          spec,
        }),
      ),
    service: (spec: object) =>
      refusal(
        platform.client.create(VirtualService, {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: metadata(),
          spec,
        }),
      ),
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  }
}

const backendRefs = [{ name: 'a', port: 80 }]

test('an HTTPRoute is stored with the defaults of the Gateway API', async () => {
  await using api = await server()
  const stored = await api.client.create(HTTPRoute, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'a', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'ebb' }],
      rules: [
        { backendRefs, matches: [{ headers: [{ name: 'h', value: 'v' }] }] },
        { backendRefs },
      ],
    },
  })
  assert.deepEqual(stored.spec, {
    parentRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'ebb' }],
    rules: [
      {
        backendRefs: [{ group: '', kind: 'Service', name: 'a', port: 80, weight: 1 }],
        matches: [
          {
            headers: [{ type: 'Exact', name: 'h', value: 'v' }],
            path: { type: 'PathPrefix', value: '/' },
          },
        ],
      },
      {
        backendRefs: [{ group: '', kind: 'Service', name: 'a', port: 80, weight: 1 }],
        matches: [{ path: { type: 'PathPrefix', value: '/' } }],
      },
    ],
  })
})

test('what upstream’s rules of validation refuse is refused, with their words', async () => {
  await using api = await server()
  const rule = (more: object) => api.route({ rules: [{ backendRefs, ...more }] })
  const path = (value: string, type = 'PathPrefix') =>
    rule({ matches: [{ path: { type, value } }] })
  assert.equal(await rule({}), 'accepted')
  assert.match(await path('login'), /value must be an absolute path and start with '\/'/)
  assert.match(await path('/a//b'), /must not contain '\/\/'/)
  assert.match(await path('/a/..'), /must not end with '\/\.\.'/)
  assert.match(await path('/a b', 'Exact'), /must only contain valid characters/)
  assert.match(await path('/a(', 'RegularExpression'), /is not a regular expression \(RE2\)/)
  assert.equal(await path('^/v[0-9]+$', 'RegularExpression'), 'accepted')
  assert.match(await path('/', 'Glob'), /Unsupported value/)
  assert.match(
    await api.route({ rules: [{ backendRefs: [{ name: 'a' }] }] }),
    /Must have port for Service reference/,
  )
  assert.equal(
    await api.route({
      rules: [{ backendRefs: [{ group: 'serving.knative.dev', kind: 'Service', name: 'a' }] }],
    }),
    'accepted',
  )
  const redirect = { type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }
  assert.match(
    await rule({ filters: [redirect] }),
    /RequestRedirect filter must not be used together with backendRefs/,
  )
  assert.match(
    await api.route({ rules: [{ filters: [redirect, redirect] }] }),
    /RequestRedirect filter cannot be repeated/,
  )
  assert.match(
    await rule({ filters: [{ type: 'URLRewrite' }] }),
    /filter\.urlRewrite must be specified for URLRewrite filter\.type/,
  )
  assert.match(
    await rule({
      filters: [
        { type: 'URLRewrite', urlRewrite: {}, requestMirror: { backendRef: backendRefs[0] } },
      ],
    }),
    /filter\.requestMirror must be nil if the filter\.type is not RequestMirror/,
  )
  const replacePrefix = {
    type: 'URLRewrite',
    urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/x' } },
  }
  assert.match(
    await rule({ matches: [{ path: { type: 'Exact', value: '/a' } }], filters: [replacePrefix] }),
    /exactly one PathPrefix match must be specified/,
  )
  assert.match(
    await rule({ timeouts: { request: '1s', backendRequest: '2s' } }),
    /backendRequest timeout cannot be longer than request timeout/,
  )
  assert.match(await rule({ timeouts: { request: '1.5s' } }), /should match/)
  assert.match(await api.route({ hostnames: ['UPPER.example'] }), /spec\.hostnames\[0\]/)
  assert.match(
    await rule({
      filters: [{ type: 'ExtensionRef', extensionRef: { group: 'x.y', kind: 'K', name: 'n' } }],
    }),
    /there are no filters of other kinds here/,
  )
})

test('a VirtualService: bad hosts, matches and times are refused, fields without effect are named', async () => {
  await using api = await server()
  const route = [{ destination: { host: 'a' } }]
  const http = (more: object) => api.service({ hosts: ['a.example'], http: [{ route, ...more }] })
  assert.equal(await http({}), 'accepted')
  assert.match(
    await api.service({ http: [{ route }] }),
    /virtual service must have at least one host/,
  )
  assert.match(
    await api.service({ hosts: ['10.0.0.1/8'], http: [{ route }] }),
    /must be a host name/,
  )
  assert.match(await http({ route: [] }), /HTTP route, redirect or direct_response is required/)
  assert.match(await http({ redirect: { uri: '/x' } }), /cannot contain both route and redirect/)
  assert.match(await http({ timeout: 'soon' }), /must be a duration/)
  assert.match(
    await http({ match: [{ uri: { prefix: '/a', exact: '/b' } }] }),
    /must have only one of exact, prefix and regex/,
  )
  assert.match(
    await http({ match: [{ headers: { h: { regex: '(' } } }] }),
    /is not a regular expression/,
  )

  const request: ApiRequest = {
    verb: 'create',
    group: 'networking.istio.io',
    version: 'v1alpha3',
    resource: 'virtualservices',
    namespace: 'default',
    user: { username: 'u', groups: ['system:masters'] },
    body: {
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'VirtualService',
      metadata: { name: 'warned' },
      spec: {
        hosts: ['b.example'],
        http: [
          { match: [{ withoutHeaders: { a: { exact: 'b' } } }], route, retries: { attempts: 3 } },
        ],
      },
    },
    options: {},
    durable: false,
  }
  const { warnings = [] } = await api.api.handle(request)
  assert.deepEqual([...warnings].toSorted(), [
    'spec.http[0].match[0].withoutHeaders is not supported: this match takes no request',
    'spec.http[0].retries is stored and has no effect',
  ])
})

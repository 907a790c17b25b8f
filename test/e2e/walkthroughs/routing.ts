/** Walk-throughs 12 (domains) and 13 (path and header, by the VirtualService of the book and by an HTTPRoute that says the same). */
import assert from 'node:assert/strict'
import { configure, until, type Ebb } from '../platform.ts'
import {
  bookRegistry,
  manifest,
  waitReady as serviceReady,
  type Walkthrough,
} from './walkthrough.ts'

const images = { [`${bookRegistry}/helloworld-go:73fbdd56`]: 'helloworld-go' } as const

/** What is asked again and again about hosts and rules. */
export const questions = (ebb: Ebb) => {
  const answer = async (host: string, path = '/', headers: Record<string, string> = {}) => {
    const { status, body } = await ebb.get(host, path, { headers })
    return status === 200 ? body.trim() : status
  }
  return {
    /** The trimmed body of a 200, else the status. */
    answer,
    url: (service: string) => ebb.ok('get', 'ksvc', service, '-o', 'jsonpath={.status.url}'),
    apply: async (name: string, text: string) => ebb.ok('apply', '-f', await ebb.file(name, text)),
    revisions: async () => (await ebb.ok('get', 'revisions', '-o', 'name')).trim().split('\n'),
    eventually: (what: string, host: string, expected: string | number) =>
      until(what, async () => (await answer(host)) === expected),
  }
}
type Questions = ReturnType<typeof questions>

export const customDomain: Walkthrough = {
  number: '12',
  title: 'the domain changes without a new revision; selectors; cluster-local is not reachable',
  images,
  async walk(ebb) {
    const { answer, url, revisions, eventually } = questions(ebb)
    await ebb.ok('apply', '-f', manifest('12-custom-domain', 'login-service.yaml'))
    await serviceReady(ebb, 'login-service')
    const listing = await ebb.ok('get', 'ksvc')
    const [head = '', row = ''] = listing.split('\n').map((line) => line.trim().replace(/ +/g, ' '))
    assert.equal(head, 'NAME URL LATESTCREATED LATESTREADY READY REASON')
    assert.match(
      row,
      /^login-service http:\/\/login-service\.default\.example\.com login-service-\w{5} login-service-\w{5} True$/,
    )
    assert.equal(await answer('login-service.default.example.com'), 'Hello Login Service!')
    const before = await revisions()

    await configure(ebb, 'config-domain', { 'knative.kuberun.com': '', 'example.com': null })
    await until('the URL follows', async () =>
      (await url('login-service')).endsWith('knative.kuberun.com'),
    )
    await serviceReady(ebb, 'login-service')
    assert.equal(await url('login-service'), 'http://login-service.default.knative.kuberun.com')
    await eventually(
      'the new host',
      'login-service.default.knative.kuberun.com',
      'Hello Login Service!',
    )
    await eventually('the old host is gone', 'login-service.default.example.com', 404)
    assert.deepEqual(await revisions(), before)

    await configure(ebb, 'config-domain', {
      'example.org': 'selector:\n  app: nonprofit\n',
      'svc.cluster.local': 'selector:\n  app: secret\n',
    })
    await ebb.ok('label', 'ksvc', 'login-service', 'app=nonprofit')
    await eventually(
      'the selected domain',
      'login-service.default.example.org',
      'Hello Login Service!',
    )
    await ebb.ok('label', 'ksvc', 'login-service', 'app=secret', '--overwrite')
    await eventually('the public host is gone', 'login-service.default.example.org', 404)
    assert.equal(await url('login-service'), 'http://login-service.default.svc.cluster.local')
    await ebb.ok('label', 'ksvc', 'login-service', 'app-')
    await eventually(
      'it is back',
      'login-service.default.knative.kuberun.com',
      'Hello Login Service!',
    )
    await ebb.ok('label', 'ksvc', 'login-service', 'serving.knative.dev/visibility=cluster-local')
    await eventually('hidden by its label', 'login-service.default.knative.kuberun.com', 404)
    await ebb.ok(
      'label',
      'ksvc',
      'login-service',
      'serving.knative.dev/visibility-',
      'networking.knative.dev/visibility-',
    )
    await eventually(
      'shown again',
      'login-service.default.knative.kuberun.com',
      'Hello Login Service!',
    )
    assert.deepEqual(await revisions(), before)
  },
}

/** The rules of folder 13 as an HTTPRoute; `header` = the login rule asks for it. */
const gatewayRules = (name: string, host: string, header: boolean) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  parentRefs: [{ name: knative-ingress-gateway, namespace: knative-serving }]
  hostnames: [${host}]
  rules:
    - matches:
        - path: { type: PathPrefix, value: /login }
          ${header ? 'headers: [{ name: foo, value: bar }]' : ''}
      backendRefs: [{ group: serving.knative.dev, kind: Service, name: login-service }]
    - matches: [{ path: { type: PathPrefix, value: /search } }]
      backendRefs: [{ name: search-service, port: 80 }]
`

/** Expected 1 to 5 of folder 13, with the header asked for. */
const expectRules = async (answer: Questions['answer'], host: string): Promise<void> => {
  await until(
    'the rules hold',
    async () => (await answer(host, '/search')) === 'Hello Search Service!',
  )
  assert.deepEqual(
    await Promise.all([
      answer(host, '/login'),
      answer(host, '/login', { foo: 'bar' }),
      answer(host, '/login', { foo: 'barn' }),
      answer(host, '/login/deeper?x=1', { Foo: 'bar' }),
      answer(host, '/search'),
      answer(host, '/other'),
      answer(host, '/'),
      answer('login-service.default.knative.kuberun.com', '/login'),
    ]),
    [
      404,
      'Hello Login Service!',
      404,
      'Hello Login Service!',
      'Hello Search Service!',
      404,
      404,
      'Hello Login Service!',
    ],
  )
}

export const pathAndHeader: Walkthrough = {
  number: '13',
  title: 'path and header by the VirtualService of the book, and by an HTTPRoute',
  images,
  async walk(ebb) {
    const { answer, apply, revisions } = questions(ebb)
    await ebb.ok('apply', '-f', manifest('13-path-header-routing', 'login-service.yaml'))
    await ebb.ok('apply', '-f', manifest('13-path-header-routing', 'search-service.composed.yaml'))
    await serviceReady(ebb, 'login-service')
    await serviceReady(ebb, 'search-service')
    const before = await revisions()
    await ebb.ok('apply', '-f', manifest('13-path-header-routing', 'routes.composed.yaml'))
    await expectRules(answer, 'test.knative.kuberun.com')

    await apply('r.yaml', gatewayRules('by-gateway-api', 'gw.knative.kuberun.com', false))
    await ebb.ok(
      'wait',
      'httproute/by-gateway-api',
      '--for=jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True',
    )
    assert.equal(await answer('gw.knative.kuberun.com', '/login'), 'Hello Login Service!')
    await apply('r.yaml', gatewayRules('by-gateway-api', 'gw.knative.kuberun.com', true))
    await until(
      'the header is asked for',
      async () => (await answer('gw.knative.kuberun.com', '/login')) === 404,
    )
    await expectRules(answer, 'gw.knative.kuberun.com')

    const second = await ebb.kubectl(
      'apply',
      '-f',
      await ebb.file('second.yaml', gatewayRules('second', 'test.knative.kuberun.com', true)),
    )
    assert.equal(second.code, 1)
    assert.match(
      second.stderr,
      /host test\.knative\.kuberun\.com, path prefix \/login and header foo: bar: VirtualService default\/test-domain has it already/,
    )
    assert.deepEqual(await revisions(), before)
  },
}

/**
 * Hosts and rules of one's own with stock kubectl: walk-through 12 of the book (domains), 13 (path and header, by the
 * VirtualService in its folder and by an HTTPRoute that says the same), DomainMappings, tags by header, gradual rollouts.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bookDir, configure, hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'
import { customDomain, pathAndHeader, questions } from './walkthroughs/routing.ts'

const folder12 = join(bookDir, '12-custom-domain')
const image = 'registry.cn-hangzhou.aliyuncs.com/knative-sample/helloworld-go:73fbdd56'

describe('routing', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb({ args: ['--domain', 'example.com'] })
    await hurry(ebb)
    await ebb.build('helloworld-go', image)
  })
  after(() => ebb[Symbol.asyncDispose]())

  const waitReady = (what: string) => ebb.ok('wait', what, '--for=condition=Ready', '--timeout=55s')
  const apply = async (name: string, text: string) => questions(ebb).apply(name, text)
  const answer = (host: string, path = '/', headers: Record<string, string> = {}) =>
    questions(ebb).answer(host, path, headers)
  const eventually = (what: string, host: string, expected: string | number) =>
    questions(ebb).eventually(what, host, expected)

  test(`12: ${customDomain.title}`, () => customDomain.walk(ebb, 'example.com'))
  test(`13: ${pathAndHeader.title}`, () => pathAndHeader.walk(ebb, 'knative.kuberun.com'))

  test('a service at zero is woken through its rules and through its domain', async () => {
    await configure(ebb, 'config-network', { 'autocreate-cluster-domain-claims': 'true' })
    await apply('dm.yaml', mapping('www.example.net', 'login-service'))
    await waitReady('domainmapping/www.example.net')
    const asleep = () =>
      until(
        'no pod is left',
        async () =>
          (await ebb.ok('get', 'pods', '--no-headers', '--ignore-not-found')).trim() === '',
        60_000,
      )
    await asleep()
    assert.deepEqual(
      await Promise.all([
        answer('www.example.net'),
        answer('gw.knative.kuberun.com', '/search'),
        answer('test.knative.kuberun.com', '/login', { foo: 'bar' }),
      ]),
      ['Hello Login Service!', 'Hello Search Service!', 'Hello Login Service!'],
    )
  })

  test('DomainMapping: columns, the claim keeps others out, bad names, bad references, an end', async () => {
    const [head = '', row = ''] = (await ebb.ok('get', 'dm'))
      .split('\n')
      .map((line) => line.trim().replace(/ +/g, ' '))
    assert.equal(head, 'NAME URL READY REASON')
    assert.equal(row, 'www.example.net http://www.example.net True')
    assert.equal(
      await ebb.ok('get', 'cdc', 'www.example.net', '-o', 'jsonpath={.spec.namespace}'),
      'default',
    )

    await ebb.ok('create', 'namespace', 'other')
    await ebb.ok('apply', '-n', 'other', '-f', join(folder12, 'login-service.yaml'))
    await ebb.ok(
      'apply',
      '-n',
      'other',
      '-f',
      await ebb.file('dm2.yaml', mapping('www.example.net', 'login-service')),
    )
    const condition = (namespace: string, name: string, type: string) =>
      ebb.ok(
        '-n',
        namespace,
        'get',
        'dm',
        name,
        '-o',
        `jsonpath={.status.conditions[?(@.type=="${type}")].reason}: {.status.conditions[?(@.type=="${type}")].message}`,
      )
    await until('it is refused', async () =>
      (await condition('other', 'www.example.net', 'Ready')).startsWith('DomainAlreadyClaimed'),
    )
    assert.equal(
      await condition('other', 'www.example.net', 'DomainClaimed'),
      'DomainAlreadyClaimed: The domain name is already in use by another DomainMapping',
    )
    assert.equal(await answer('www.example.net'), 'Hello Login Service!')

    const refused = async (name: string, service = 'login-service') => {
      const ran = await ebb.kubectl(
        'apply',
        '-f',
        await ebb.file('bad.yaml', mapping(name, service)),
      )
      assert.equal(ran.code, 1)
      return ran.stderr
    }
    assert.match(
      await refused('single'),
      /invalid name "single": name: Invalid value: "single": should be a domain with at least two segments separated by dots: metadata\.name/,
    )
    assert.match(
      await refused('a.default.svc.cluster.local'),
      /must not be a subdomain of cluster local domain "cluster\.local": metadata\.name/,
    )

    await apply('dm3.yaml', mapping('late.example.net', 'late'))
    await until('it says what is missing', async () =>
      (await condition('default', 'late.example.net', 'ReferenceResolved')).includes('not found'),
    )
    assert.equal(
      await condition('default', 'late.example.net', 'ReferenceResolved'),
      'ResolveFailed: failed to get object default/late: services.serving.knative.dev "late" not found',
    )

    await ebb.ok('delete', 'dm', 'www.example.net', 'late.example.net')
    await until('the waiting one may have it', async () =>
      (await ebb.ok('-n', 'other', 'get', 'dm')).includes('True'),
    )
    assert.equal(
      await ebb.ok('get', 'cdc', 'www.example.net', '-o', 'jsonpath={.spec.namespace}'),
      'other',
    )
    await ebb.ok('delete', 'namespace', 'other')
    await until('the claim goes with its mapping', async () =>
      (await ebb.kubectl('get', 'cdc', 'www.example.net')).stderr.includes('NotFound'),
    )
  })

  test('tags by header, and a group hidden by the label on its placeholder', async () => {
    await configure(ebb, 'config-features', { 'tag-header-based-routing': 'enabled' })
    await ebb.ok(
      'patch',
      'ksvc',
      'search-service',
      '--type=json',
      '-p',
      JSON.stringify([
        {
          op: 'replace',
          path: '/spec/template/spec/containers/0/env/0/value',
          value: 'Blue Service',
        },
      ]),
    )
    await waitReady('ksvc/search-service')
    const [old = '', blue = ''] = (
      await ebb.ok(
        'get',
        'revisions',
        '-l',
        'serving.knative.dev/service=search-service',
        '--sort-by=.metadata.creationTimestamp',
        '-o',
        'jsonpath={.items[*].metadata.name}',
      )
    ).split(' ')
    await ebb.ok(
      'patch',
      'ksvc',
      'search-service',
      '--type=merge',
      '-p',
      JSON.stringify({
        spec: {
          traffic: [
            { revisionName: old, percent: 100 },
            { revisionName: blue, percent: 0, tag: 'blue' },
          ],
        },
      }),
    )
    const host = 'search-service.default.knative.kuberun.com'
    await until(
      'the tag is routed',
      async () => (await answer(`blue-${host}`)) === 'Hello Blue Service!',
    )
    const tagged = (tag: string) => answer(host, '/', { 'Knative-Serving-Tag': tag })
    await until('the header chooses', async () => (await tagged('blue')) === 'Hello Blue Service!')
    assert.equal(await tagged('green'), 'Hello Search Service!')
    assert.equal(await answer(host), 'Hello Search Service!')

    await ebb.ok(
      'label',
      'service',
      'blue-search-service',
      'networking.knative.dev/visibility=cluster-local',
    )
    await eventually('the tag is hidden', `blue-${host}`, 404)
    assert.equal(await answer(host), 'Hello Search Service!')
  })

  test('a rollout over some seconds moves the traffic step by step and loses nothing', async () => {
    const host = 'login-service.default.knative.kuberun.com'
    const seconds = 8
    await ebb.ok(
      'annotate',
      'ksvc',
      'login-service',
      `serving.knative.dev/rollout-duration=${seconds}s`,
    )
    await waitReady('ksvc/login-service')
    assert.equal(await answer(host), 'Hello Login Service!')
    const seen: { readonly atMs: number; readonly isNew: boolean }[] = []
    const failures: unknown[] = []
    let running = true
    const load = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (running) {
          const one = await answer(host)
          if (one === 'Hello New Login!') seen.push({ atMs: performance.now(), isNew: true })
          else if (one === 'Hello Login Service!')
            seen.push({ atMs: performance.now(), isNew: false })
          else failures.push(one)
        }
      }),
    )
    await ebb.ok(
      'patch',
      'ksvc',
      'login-service',
      '--type=json',
      '-p',
      JSON.stringify([
        { op: 'replace', path: '/spec/template/spec/containers/0/env/0/value', value: 'New Login' },
      ]),
    )
    const percents = new Set<number>()
    await until(
      'the rollout is done',
      async () => {
        const traffic = JSON.parse(
          await ebb.ok('get', 'ksvc', 'login-service', '-o', 'jsonpath={.status.traffic}'),
        ) as { percent: number }[]
        percents.add(traffic.at(-1)?.percent ?? 0)
        return (
          (await ebb.ok('get', 'ksvc', 'login-service')).includes('True') &&
          traffic.length === 1 &&
          percents.size > 2
        )
      },
      60_000,
    )
    running = false
    await load
    assert.deepEqual(failures, [])
    const [first] = seen.filter(({ isNew }) => isNew)
    assert.ok(first, 'the new revision got requests')
    const since = (from: number, to: number) => {
      const part = seen.filter(({ atMs }) => atMs >= first.atMs + from && atMs < first.atMs + to)
      return part.filter(({ isNew }) => isNew).length / part.length
    }
    // Growing shares: little at the beginning, all at the end.
    const [early, late] = [since(0, 1500), since(5000, 6500)]
    assert.ok(early < 0.45, `${early} of the first requests went to the new revision`)
    assert.ok(late > early + 0.2, `from ${early} to ${late} after five seconds`)
    assert.equal(await answer(host), 'Hello New Login!')
  })
})

const mapping = (name: string, service: string) => `
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: { name: ${name} }
spec: { ref: { apiVersion: serving.knative.dev/v1, kind: Service, name: ${service} } }
`

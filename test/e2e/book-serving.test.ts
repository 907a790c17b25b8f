/** Walk-throughs 02, 03, 04, 07, 08, 09 and 11 of the book, with their manifests unchanged and stock kubectl. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  bookDir,
  configure,
  hurry,
  load,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

const manifest = (...path: string[]) => join(bookDir, ...path)
const registry = 'registry.cn-hangzhou.aliyuncs.com/knative-sample'

/** Names of the pods that run, those being stopped not counted. */
const podsOf = async (ebb: Ebb, name: string, label = 'service'): Promise<readonly string[]> =>
  (await ebb.ok('get', 'pods', '-l', `serving.knative.dev/${label}=${name}`, '--no-headers'))
    .split('\n')
    .filter((line) => / Running /.test(line))
    .map((line) => line.split(' ')[0] ?? '')

const waitReady = (ebb: Ebb, service: string) =>
  ebb.ok('wait', `ksvc/${service}`, '--for=condition=Ready', '--timeout=30s')

describe('on the domain knative.kuberun.com', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb({ args: ['--domain', 'knative.kuberun.com'] })
    await hurry(ebb)
    await ebb.build('helloworld-go', `${registry}/helloworld-go:160e4dc8`)
    await ebb.build('rest-api-go', `${registry}/rest-api-go:v1`)
  })
  after(() => ebb[Symbol.asyncDispose]())

  test('02: hello world sleeps at zero, wakes for a request, grows under load', async () => {
    const host = 'helloworld-go.default.knative.kuberun.com'
    const applied = await ebb.ok(
      'apply',
      '-f',
      manifest('02-serving-hello-world', 'helloworld-go.yaml'),
    )
    assert.equal(applied, 'service.serving.knative.dev/helloworld-go created\n')
    await waitReady(ebb, 'helloworld-go')
    assert.match((await podsOf(ebb, 'helloworld-go'))[0] ?? '', /^helloworld-go-\w+-deployment-/)
    const address = await ebb.ok(
      'get',
      'svc',
      'istio-ingressgateway',
      '--namespace',
      'istio-system',
      '--output',
      'jsonpath={.status.loadBalancer.ingress[*].ip}',
    )
    assert.equal(address, '127.0.0.1')
    assert.equal(
      await ebb.ok('get', 'route', 'helloworld-go', '--output', 'jsonpath={.status.domain}'),
      host,
    )
    assert.equal((await ebb.get(host)).body, 'Hello World!\n')

    await until(
      'no pod is left',
      async () => (await podsOf(ebb, 'helloworld-go')).length === 0,
      40_000,
    )
    const woken = await ebb.get(host)
    assert.deepEqual([woken.status, woken.body], [200, 'Hello World!\n'])
    assert.equal((await podsOf(ebb, 'helloworld-go')).length, 1)

    const { statuses, errors } = await load(ebb, host, { workers: 50, durationMs: 3_000 })
    assert.deepEqual(errors, [])
    assert.deepEqual([...statuses.keys()], [200])
  })

  test('11: percent split, dark launch by tag, canary, rollback', async () => {
    const folder = '11-traffic-split'
    const service = 'traffic-example'
    const main = `${service}.default.knative.kuberun.com`
    const answers = async (host: string, count: number) => {
      const seen = new Map<string, number>()
      for (let i = 0; i < count; i++) {
        const { status, body } = await ebb.get(host)
        assert.equal(status, 200)
        const version = /the (\w+) app/.exec(body)?.[1] ?? body
        seen.set(version, (seen.get(version) ?? 0) + 1)
      }
      return seen
    }
    await ebb.ok('apply', '-f', manifest(folder, 'revision-v1.yaml'))
    await waitReady(ebb, service)
    assert.deepEqual(await answers(main, 5), new Map([['v1', 5]]))
    for (const kind of ['configuration', 'revision', 'route'])
      assert.match(
        await ebb.ok('get', kind, '-l', `serving.knative.dev/service=${service}`),
        /traffic-example/,
      )

    await ebb.ok('apply', '-f', manifest(folder, 'revision-v2.yaml'))
    await waitReady(ebb, service)
    const split = await answers(main, 2_000)
    assert.equal((split.get('v1') ?? 0) + (split.get('v2') ?? 0), 2_000)
    assert.ok(Math.abs((split.get('v1') ?? 0) - 1_600) <= 60, `v1 got ${split.get('v1')} of 2000`)

    await ebb.ok('apply', '-f', manifest(folder, 'revision-v3.corrected.yaml'))
    await waitReady(ebb, service)
    const revisions = await ebb.ok(
      'get',
      'revision',
      '-l',
      `serving.knative.dev/service=${service}`,
      '-o',
      'jsonpath={.items[*].metadata.labels.serving\\.knative\\.dev/configurationGeneration}',
    )
    assert.equal(revisions, '1 2 3')
    const traffic = JSON.parse(
      await ebb.ok('get', 'ksvc', service, '-o', 'jsonpath={.status.traffic}'),
    ) as Record<string, unknown>[]
    assert.deepEqual(
      traffic.map(({ tag, percent, latestRevision, revisionName, url }) => ({
        tag,
        percent,
        latestRevision,
        revisionName,
        url,
      })),
      [
        {
          tag: 'v1',
          percent: 80,
          latestRevision: false,
          revisionName: 'traffic-example-v1',
          url: `http://v1-${main}`,
        },
        {
          tag: 'v2',
          percent: 20,
          latestRevision: false,
          revisionName: 'traffic-example-v2',
          url: `http://v2-${main}`,
        },
        {
          tag: 'latest',
          percent: 0,
          latestRevision: true,
          revisionName: 'traffic-example-v3',
          url: `http://latest-${main}`,
        },
      ],
    )
    assert.equal((await answers(main, 100)).has('v3'), false)
    assert.deepEqual(await answers(`latest-${main}`, 3), new Map([['v3', 3]]))

    // The same name with the same template: only traffic changes, which is allowed.
    await ebb.ok('apply', '-f', manifest(folder, 'revision-v3-2.yaml'))
    await waitReady(ebb, service)
    const canary = await answers(main, 1_000)
    assert.ok(Math.abs((canary.get('v1') ?? 0) - 800) <= 40)
    assert.ok(Math.abs((canary.get('v3') ?? 0) - 100) <= 30)
    // The same name with another template is not.
    const refused = await ebb.kubectl('apply', '-f', manifest(folder, 'revision-v3.yaml'))
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /Saw the following changes without a name change/)

    await ebb.ok('apply', '-f', manifest(folder, 'rollback.composed.yaml'))
    await waitReady(ebb, service)
    assert.deepEqual(await answers(main, 20), new Map([['v1', 20]]))

    // Not of the book: the tag by a header instead of its host.
    const tagged = async (tag: string): Promise<string> =>
      (await ebb.get(main, '/', { headers: { 'Knative-Serving-Tag': tag } })).body
    assert.match(await tagged('v2'), /the v1 app/)
    await configure(ebb, 'config-features', { 'tag-header-based-routing': 'Enabled' })
    await until('the header chooses the tag', async () => /the v2 app/.test(await tagged('v2')))
    assert.match(await tagged('v3'), /the v3 app/)
    assert.match(await tagged('unknown'), /the v1 app/)
    assert.deepEqual(await answers(main, 5), new Map([['v1', 5]]))
  })
})

describe('on the domain example.com', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb({ args: ['--domain', 'example.com'] })
    await ebb.build('helloworld-nodejs', 'docker.io/bianlian/helloworld-nodejs')
    await ebb.build('hello-serverless', 'jingyuan/hello:v1')
    await ebb.build('autoscale-go', `${registry}/autoscale-go:0.1`)
  })
  after(() => ebb[Symbol.asyncDispose]())

  test('04: the node sample', async () => {
    await ebb.ok('get', 'configmap', 'config-istio', '-n', 'knative-serving')
    await ebb.ok('apply', '--filename', manifest('04-helloworld-nodejs', 'service.yaml'))
    await waitReady(ebb, 'helloworld-nodejs')
    const table = await ebb.ok(
      'get',
      'ksvc',
      'helloworld-nodejs',
      '--output=custom-columns=NAME:.metadata.name,URL:.status.url',
    )
    assert.match(
      table,
      /^NAME +URL\nhelloworld-nodejs +http:\/\/helloworld-nodejs\.default\.example\.com\n$/,
    )
    assert.equal(
      (await ebb.get('helloworld-nodejs.default.example.com')).body,
      'Hello Node.js Sample Native v1!',
    )
  })

  test('03: the smallest manifest', async () => {
    await ebb.ok('apply', '-f', manifest('03-helloworld-go-curl', 'service.yaml'))
    await waitReady(ebb, 'helloworld-go')
    assert.equal((await ebb.get('helloworld-go.default.example.com')).body, 'Hello Serverless!\n')
  })

  test('08 and 09: load scales out, bounds hold, idle goes back', async () => {
    const host = 'autoscale-go.default.example.com'
    const applied = await ebb.kubectl(
      'apply',
      '-f',
      manifest('08-autoscale-concurrency', 'service.yaml'),
    )
    assert.equal(applied.code, 0, applied.stderr)
    assert.match(applied.stderr, /serving\.knative\.dev\/v1\b/, 'the warning names the modern form')
    await waitReady(ebb, 'autoscale-go')
    assert.equal(
      await ebb.ok('get', 'route', 'autoscale-go', '--output', 'jsonpath={.status.url}'),
      `http://${host}`,
    )
    await hurry(ebb)
    const path = '/?sleep=100&prime=10000&bloat=5'
    const one = await ebb.get(host, path)
    assert.match(one.body, /The largest prime less than 10000 is 9973\./)
    assert.match(one.body, /Allocated 5 Mb of memory\./)
    assert.match(one.body, /Slept for (9\d|1\d\d)\.\d\d milliseconds\./)

    let most = 0
    const running = new AbortController()
    const watching = (async () => {
      while (!running.signal.aborted)
        most = Math.max(most, (await podsOf(ebb, 'autoscale-go')).length)
    })()
    const first = await load(ebb, host, { path, workers: 50, durationMs: 12_000 })
    running.abort()
    await watching
    assert.deepEqual(first.errors, [])
    assert.deepEqual([...first.statuses.keys()], [200])
    assert.ok(most >= 5 && most <= 8, `5 to 8 pods at 50 concurrent, target 10 x 70 %: saw ${most}`)

    assert.match(
      await ebb.ok('apply', '-f', manifest('09-autoscale-bounds', 'service.yaml')),
      /autoscale-go configured/,
    )
    await waitReady(ebb, 'autoscale-go')
    const second = await load(ebb, host, { path, workers: 50, durationMs: 6_000 })
    assert.deepEqual([...second.statuses.keys()], [200])
    const newest = async () => (await podsOf(ebb, 'autoscale-go-00002', 'revision')).length
    assert.equal(await newest(), 3)
    // One stays for good, the old revision goes to zero.
    await until(
      'one pod is left',
      async () => (await podsOf(ebb, 'autoscale-go')).length === 1,
      40_000,
    )
    assert.equal(await newest(), 1)
  })

  test('07: every knob of the ConfigMap, without a restart; a bad value names its key', async () => {
    await ebb.ok('apply', '-f', manifest('07-autoscaler-config', 'config-autoscaler.yaml'))
    const bad = await ebb.kubectl(
      '-n',
      'knative-serving',
      'patch',
      'cm',
      'config-autoscaler',
      '--type=merge',
      '-p',
      '{"data":{"stable-window":"5s"}}',
    )
    assert.equal(bad.code, 1)
    assert.match(bad.stderr, /stable-window = 5s, must be in \[6s; 1h0m0s\] range/)
    await ebb.ok('apply', '-f', manifest('07-autoscaler-config', 'service-for-test.composed.yaml'))
    await waitReady(ebb, 'autoscale-go')
    const pods = async () => (await podsOf(ebb, 'autoscale-go-00003', 'revision')).length
    await until('two pods stay', async () => (await pods()) === 2)
    assert.match(await ebb.ok('get', 'podautoscaler'), /autoscale-go-00003/)
    // Editing the object of the revision takes effect without touching the Service.
    await ebb.ok(
      'annotate',
      '--overwrite',
      'podautoscaler/autoscale-go-00003',
      'autoscaling.knative.dev/minScale=3',
    )
    await until('three pods', async () => (await pods()) === 3)
  })
})

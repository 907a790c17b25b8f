/** Walk-throughs 02 to 06: the first services, in three forms of the API; probes. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { load, until } from '../platform.ts'
import { bookRegistry, manifest, podsOf, waitReady, type Walkthrough } from './walkthrough.ts'

export const helloWorld: Walkthrough = {
  number: '02',
  title: 'hello world sleeps at zero, wakes for a request, grows under load',
  images: { [`${bookRegistry}/helloworld-go:160e4dc8`]: 'helloworld-go' },
  async walk(ebb, domain) {
    const host = `helloworld-go.default.${domain}`
    const applied = await ebb.ok(
      'apply',
      '-f',
      manifest('02-serving-hello-world', 'helloworld-go.yaml'),
    )
    assert.match(applied, /^service\.serving\.knative\.dev\/helloworld-go (created|configured)\n$/)
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
      60_000,
    )
    const woken = await ebb.get(host)
    assert.deepEqual([woken.status, woken.body], [200, 'Hello World!\n'])
    assert.equal((await podsOf(ebb, 'helloworld-go')).length, 1)

    const { statuses, errors } = await load(ebb, host, { workers: 50, durationMs: 2_000 })
    assert.deepEqual(errors, [])
    assert.deepEqual([...statuses.keys()], [200])
  },
}

export const smallestManifest: Walkthrough = {
  number: '03',
  title: 'the smallest manifest',
  images: { 'jingyuan/hello:v1': 'hello-serverless' },
  async walk(ebb, domain) {
    await ebb.ok('apply', '-f', manifest('03-helloworld-go-curl', 'service.yaml'))
    await waitReady(ebb, 'helloworld-go')
    assert.equal((await ebb.get(`helloworld-go.default.${domain}`)).body, 'Hello Serverless!\n')
  },
}

export const nodeSample: Walkthrough = {
  number: '04',
  title: 'the node sample',
  images: { 'docker.io/bianlian/helloworld-nodejs': 'helloworld-nodejs' },
  async walk(ebb, domain) {
    await ebb.ok('get', 'configmap', 'config-istio', '-n', 'knative-serving')
    await ebb.ok('apply', '--filename', manifest('04-helloworld-nodejs', 'service.yaml'))
    await waitReady(ebb, 'helloworld-nodejs')
    const host = `helloworld-nodejs.default.${domain}`
    const table = await ebb.ok(
      'get',
      'ksvc',
      'helloworld-nodejs',
      '--output=custom-columns=NAME:.metadata.name,URL:.status.url',
    )
    assert.deepEqual(table.trim().split(/\s+/), [
      'NAME',
      'URL',
      'helloworld-nodejs',
      `http://${host}`,
    ])
    assert.equal((await ebb.get(host)).body, 'Hello Node.js Sample Native v1!')
  },
}

export const runLatest: Walkthrough = {
  number: '05',
  title: 'the oldest form, runLatest',
  images: { 'docker.io/somebody/helloworld-go': 'helloworld-go' },
  async walk(ebb, domain) {
    for (const [file, greeting] of [
      ['service-runlatest.yaml', 'Hello Go Sample v1!\n'],
      ['service-runlatest-001.yaml', 'Hello 边黎安!\n'],
    ] as const) {
      const text = await readFile(manifest('05-helloworld-runlatest', file), 'utf8')
      // A placeholder that the reader is asked to replace.
      await ebb.ok('apply', '-f', await ebb.file(file, text.replaceAll('{username}', 'somebody')))
      await until(
        `it says ${greeting}`,
        async () => (await ebb.get(`helloworld-go.default.${domain}`)).body === greeting,
        60_000,
      )
    }
    await waitReady(ebb, 'helloworld-go')
    await ebb.ok('delete', 'ksvc', 'helloworld-go')
  },
}

export const healthProbes: Walkthrough = {
  number: '06',
  title: 'ready three seconds after its start, as its probe wants',
  images: { [`${bookRegistry}/helloworld-go:160e4db7`]: 'helloworld-go' },
  async walk(ebb, domain) {
    const file = manifest('06-health-probes', 'readiness-prober.corrected.yaml')
    await ebb.ok('apply', '-f', file)
    await waitReady(ebb, 'readiness-prober')
    assert.equal((await ebb.get(`readiness-prober.default.${domain}`)).body, 'Hello World!\n')
    const delay = 'jsonpath={.spec.containers[0].readinessProbe.initialDelaySeconds}'
    const revision = await ebb.ok(
      'get',
      'ksvc',
      'readiness-prober',
      '-o',
      'jsonpath={.status.latestReadyRevisionName}',
    )
    assert.equal(await ebb.ok('get', 'revision', revision, '-o', delay), '3')
    await ebb.ok('delete', 'ksvc', 'readiness-prober')
  },
}

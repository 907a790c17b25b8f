/** What goes wrong ends in a condition that says so; floods and hostile clients are survived. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { after, before, describe, test } from 'node:test'
import {
  configure,
  processesMentioning,
  request,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

describe('faults', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb()
    for (const app of ['exits', 'deaf', 'unready', 'slow']) await ebb.build(app, `dev.local/${app}`)
  })
  after(() => ebb[Symbol.asyncDispose]())

  const apply = async (
    name: string,
    container: object,
    annotations: Record<string, string> = {},
  ) => {
    const service = {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { template: { metadata: { annotations }, spec: { containers: [container] } } },
    }
    const ran = await ebb.kubectl(
      'apply',
      '--validate=false',
      '-f',
      await ebb.file(`${name}.json`, JSON.stringify(service)),
    )
    assert.equal(ran.code, 0, ran.stderr)
  }
  const condition = async (
    kind: string,
    name: string,
    type: string,
  ): Promise<Condition | undefined> => {
    const text = await ebb.ok(
      'get',
      kind,
      name,
      '--ignore-not-found',
      '-o',
      'jsonpath={.status.conditions}',
    )
    return text ? (JSON.parse(text) as Condition[]).find((one) => one.type === type) : undefined
  }
  const falseCondition = (kind: string, name: string, type: string) =>
    until(`${kind} ${name} ${type}=False`, async () => {
      const found = await condition(kind, name, type)
      return found?.status === 'False' && found
    })

  test('an image that does not exist', async () => {
    await apply('absent', { image: 'example.com/absent:v1' })
    const healthy = await falseCondition('revision', 'absent-00001', 'ContainerHealthy')
    assert.equal(healthy.reason, 'ContainerMissing')
    assert.match(
      healthy.message ?? '',
      /^Unable to fetch image "example\.com\/absent:v1": failed to resolve image to digest: /,
    )
    const ready = await falseCondition('configuration', 'absent', 'Ready')
    assert.equal(ready.reason, 'RevisionFailed')
    assert.match(
      ready.message ?? '',
      /^Revision "absent-00001" failed with message: Unable to fetch image/,
    )
    assert.equal((await falseCondition('ksvc', 'absent', 'Ready')).reason, 'RevisionMissing')
  })

  test('an app that exits: its exit code and last log lines', async () => {
    await apply('exits', { image: 'dev.local/exits' })
    const healthy = await falseCondition('revision', 'exits-00001', 'ContainerHealthy')
    assert.equal(healthy.reason, 'ExitCode3')
    assert.match(healthy.message ?? '', /^Container failed with: cannot find the database/)
  })

  test('an app that never listens, and one whose probe fails: after the progress deadline', async () => {
    const soon = { 'serving.knative.dev/progress-deadline': '3s' }
    await apply('deaf', { image: 'dev.local/deaf' }, soon)
    await apply(
      'unready',
      { image: 'dev.local/unready', readinessProbe: { httpGet: { path: '/' } } },
      soon,
    )
    for (const name of ['deaf', 'unready']) {
      const ready = await falseCondition('revision', `${name}-00001`, 'Ready')
      assert.equal(ready.reason, 'ProgressDeadlineExceeded')
    }
    assert.match(await ebb.ok('get', 'events'), /Readiness probe failed/)
  })

  test('10,000 requests held at zero: bounded memory, clear answers', async () => {
    await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
    await apply(
      'slow',
      { image: 'dev.local/slow', env: [{ name: 'START_MS', value: '3000' }] },
      { 'autoscaling.knative.dev/initial-scale': '0', 'autoscaling.knative.dev/max-scale': '1' },
    )
    await ebb.ok('wait', 'ksvc/slow', '--for=condition=Ready', '--timeout=55s')
    const gatewayPid = processesMentioning(ebb.dataDir).find((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('gateway/main'),
    )
    assert.ok(gatewayPid)
    const answers = await Promise.all(
      Array.from({ length: 10_000 }, () =>
        request(ebb.gateway, 'slow.default.localhost', { timeoutMs: 60_000 }).then(
          ({ status, headers }) => ({ status, retryAfter: headers['retry-after'] }),
          (error: Error) => ({ status: 0, retryAfter: error.message }),
        ),
      ),
    )
    const odd = answers.filter(
      ({ status, retryAfter }) => status !== 200 && !(status === 503 && retryAfter),
    )
    assert.deepEqual(odd.slice(0, 3), [])
    assert.ok(answers.some(({ status }) => status === 200))
    const rssMB =
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gatewayPid}/status`, 'utf8'))?.[1]) / 1024
    assert.ok(rssMB < 400, `the gateway holds ${rssMB} MB`)
  })

  const raw = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let answer = ''
      const socket = createConnection(ebb.gateway, () => socket.write(bytes))
      socket.setEncoding('utf8')
      socket.on('data', (chunk: string) => {
        answer += chunk
        if (answer.includes('\r\n\r\n')) socket.destroy()
      })
      socket.on('close', () => resolve(answer))
      socket.on('error', reject)
      socket.setTimeout(10_000, () =>
        socket.destroy(new Error(`no answer to ${bytes.slice(0, 40)}`)),
      )
    })

  test('malformed and oversized HTTP gets a clear refusal and a closed connection', async () => {
    const host = 'Host: slow.default.localhost\r\n'
    for (const [bytes, status] of [
      ['rubbish\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\n\r\n`, 400],
      [`GET / HTTP/1.1\r\n${host}${host}\r\n`, 400],
      [`POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
      [`POST / HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`, 400],
      [`GET / HTTP/1.1\r\n${host}X : y\r\n\r\n`, 400],
      [`GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(100_000)}\r\n\r\n`, 431],
    ] as const)
      assert.match(await raw(bytes), new RegExp(`^HTTP/1.1 ${status} `), bytes.slice(0, 60))
  })

  test('the API refuses what is too large and what is not JSON', async () => {
    const big = await ebb.kubectl(
      'create',
      '-f',
      await ebb.file(
        'big.json',
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'big' },
          data: { a: 'x'.repeat(4 << 20) },
        }),
      ),
    )
    assert.equal(big.code, 1)
    assert.match(big.stderr, /too large|RequestEntityTooLarge/i)
    const broken = await ebb.kubectl(
      'create',
      '--raw',
      '/api/v1/namespaces/default/configmaps',
      '-f',
      await ebb.file('broken.json', '{"a":'),
    )
    assert.equal(broken.code, 1)
    assert.equal((await ebb.kubectl('get', 'ns')).code, 0)
  })
})

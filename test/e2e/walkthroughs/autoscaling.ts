/** Walk-throughs 07 to 09: how many pods, and who says so. 07 comes after the others: it counts on their revisions. */
import assert from 'node:assert/strict'
import { hurry, load, until } from '../platform.ts'
import { bookRegistry, manifest, podsOf, waitReady, type Walkthrough } from './walkthrough.ts'

const images = { [`${bookRegistry}/autoscale-go:0.1`]: 'autoscale-go' } as const

export const concurrencyAndBounds: Walkthrough = {
  number: '08 and 09',
  title: 'load scales out, bounds hold, idle goes back',
  images,
  async walk(ebb, domain) {
    const host = `autoscale-go.default.${domain}`
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
    const watching = until('the load is over', async () => {
      most = Math.max(most, (await podsOf(ebb, 'autoscale-go')).length)
      return running.signal.aborted
    })
    // Longer than the stable window, so that it is the stable number that is seen.
    const first = await load(ebb, host, { path, workers: 50, durationMs: 9_000 })
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
    const second = await load(ebb, host, { path, workers: 50, durationMs: 4_000 })
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
  },
}

export const autoscalerConfig: Walkthrough = {
  number: '07',
  title: 'every knob of the ConfigMap, without a restart; a bad value names its key',
  images,
  async walk(ebb) {
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
  },
}

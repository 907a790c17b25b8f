// Waking: every cold request leaves its waterfall; a frozen pod keeps its memory, survives the control plane, and goes
// when its time is over.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import {
  configure,
  hurry,
  processesMentioning,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

interface PodJson {
  readonly metadata: { readonly name: string; readonly uid: string }
  readonly status: {
    readonly reason?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}
interface ColdStartJson {
  readonly spec: {
    readonly revision: string
    readonly kind: string
    readonly spans: Readonly<Record<string, number>>
    readonly steps: readonly { readonly name: string; readonly atMs: number }[]
  }
}

const service = (name: string, image: string, annotations: Record<string, string>) => `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: ${name} }
spec:
  template:
    metadata: { annotations: ${JSON.stringify(annotations)} }
    spec: { containers: [{ image: ${image} }] }
`
const host = (name: string) => `${name}.default.localhost`

let ebb: Ebb
before(async () => {
  ebb = await startEbb()
})
after(async () => ebb[Symbol.asyncDispose]())

const items = async <T>(...args: readonly string[]): Promise<readonly T[]> =>
  (JSON.parse(await ebb.ok('get', ...args, '-o', 'json')) as { items: readonly T[] }).items
const podOf = async (name: string) =>
  (await items<PodJson>('pods', '-l', `serving.knative.dev/service=${name}`))[0]
const frozen = (name: string) =>
  until(
    `${name} is frozen`,
    async () => {
      const pod = await podOf(name)
      return pod?.status.reason === 'Frozen' && pod
    },
    60_000,
  )
const coldStart = (name: string, kind: string) =>
  until(`a ${kind} of ${name} is kept`, async () =>
    (await items<ColdStartJson>('coldstarts')).find(
      ({ spec }) => spec.kind === kind && spec.revision === `${name}-00001`,
    ),
  )

/** States of the processes that belong to a pod: T = stopped, S or R = running. */
const statesOf = (pod: PodJson): string =>
  processesMentioning(pod.metadata.uid)
    .map((pid) => {
      try {
        return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
      } catch {
        return ''
      }
    })
    .join('')

test('waking, step by step', { skip: withoutKubectl, timeout: 180_000 }, async (t) => {
  await ebb.build('counter', 'dev.local/counter:1')
  await hurry(ebb)
  await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
  const manifest = [
    service('cold', 'dev.local/counter:1', { 'autoscaling.knative.dev/initial-scale': '0' }),
    service('counter', 'dev.local/counter:1', { 'ebb.dev/freeze-for': '10m' }),
    service('brief', 'dev.local/counter:1', { 'ebb.dev/freeze-for': '2s' }),
  ].join('---')
  await ebb.ok('apply', '-f', await ebb.file('services.yaml', manifest))
  await ebb.ok('wait', 'ksvc', '--all', '--for=condition=Ready', '--timeout=55s')
  const count = async (name: string): Promise<string> => {
    const { status, body } = await ebb.get(host(name), '/?id=it')
    assert.equal(status, 200)
    return body
  }
  assert.equal(await count('counter'), '1')

  await t.test('a cold start leaves its waterfall, all steps in order', async () => {
    assert.equal(await count('cold'), '1')
    const { spec } = await coldStart('cold', 'Started')
    const names = spec.steps.map(({ name }) => name)
    const chain = ['wake', 'decision', 'scaled', 'created', 'bound', 'spawn', 'started', 'probe']
    const end = ['alive', 'ready', 'granted', 'forwarded', 'answered']
    assert.deepEqual(
      names.filter((name) => [...chain, ...end].includes(name)),
      [...chain, ...end],
    )
    assert.ok(names.includes('routed') && names.includes('endpoints'))
    const times = spec.steps.map(({ atMs }) => atMs)
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    )
    const { totalMs = 0, ...parts } = spec.spans
    const sum = Object.values(parts).reduce((all, ms) => all + ms, 0)
    assert.ok(Math.abs(sum - totalMs) < 0.1, `${sum} of ${totalMs}`)
    const table = await ebb.ok('get', 'coldstarts')
    assert.match(table, /REVISION +KIND +TOTAL +QUEUE +DECIDE +SPAWN +PROBE +FORWARD +ANSWER +AGE/)
  })

  await t.test('a template that says it wrong is refused with what is expected', async () => {
    const wrong = service('wrong', 'dev.local/counter:1', { 'ebb.dev/freeze-for': 'long' })
    const { code, stderr } = await ebb.kubectl('apply', '-f', await ebb.file('w.yaml', wrong))
    assert.equal(code, 1)
    assert.match(stderr, /invalid value: long: .*ebb\.dev\/freeze-for/)
    assert.match(stderr, /expected a duration from 0s to 24h0m0s, for example 10m/)
  })

  let pod: PodJson
  await t.test('an idle pod is frozen, and to Knative it is at zero', async () => {
    pod = await frozen('counter')
    await until('it is stopped', () => /^T+$/.test(statesOf(pod)))
    const pa = await ebb.ok('get', 'podautoscaler', 'counter-00001', '--no-headers')
    assert.match(pa, /^counter-00001 +0 +0 +False +NoTraffic/)
    assert.match(await ebb.ok('get', 'ksvc', 'counter', '--no-headers'), /True/)
    assert.match(await ebb.ok('get', 'pods', pod.metadata.name), /0\/1 +Frozen +0 /)
  })

  await t.test('a request thaws it with all it had in memory', async () => {
    assert.equal(await count('counter'), '2')
    assert.equal((await podOf('counter'))?.metadata.uid, pod.metadata.uid)
    const { spec } = await coldStart('counter', 'Thawed')
    const names = spec.steps.map(({ name }) => name)
    assert.deepEqual(
      names.filter((name) => ['wake', 'thaw', 'resumed', 'granted', 'answered'].includes(name)),
      ['wake', 'thaw', 'resumed', 'granted', 'answered'],
    )
    assert.ok(!names.includes('spawn'))
  })

  await t.test('a frozen pod goes when its time is over', async () => {
    await until('it is gone', async () => (await podOf('brief')) === undefined, 60_000)
    assert.equal(await count('brief'), '1', 'a new process')
  })

  await t.test('a control plane that is killed finds it frozen and thaws it', async () => {
    assert.equal((await frozen('counter')).metadata.uid, pod.metadata.uid)
    await until('it is stopped', () => /^T+$/.test(statesOf(pod)))
    await ebb.kill()
    await ebb.restart()
    assert.match(statesOf(pod), /^T+$/)
    assert.equal(await count('counter'), '3')
    assert.equal((await podOf('counter'))?.metadata.uid, pod.metadata.uid)
    await until('that is kept too', async () => {
      const kept = await items<ColdStartJson>('coldstarts')
      const thawed = kept.filter(({ spec }) => spec.kind === 'Thawed')
      const isCreated = ({ spec }: ColdStartJson) =>
        spec.steps.some(({ name }) => name === 'created')
      assert.deepEqual(thawed.filter(isCreated), [], 'it was there before')
      return thawed.length >= 2
    })
  })

  await t.test('a frozen pod ends as soon as it is told to', async () => {
    await frozen('counter')
    const start = performance.now()
    await ebb.ok('delete', 'ksvc', 'counter')
    await until('its process is gone', () => statesOf(pod) === '')
    assert.ok(performance.now() - start < 15_000, 'not by the end of its grace')
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { coreKinds } from '../../../kube/api/kinds.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { ApiServerSource } from './api-server-source.ts'
import { ContainerSource } from './container-source.ts'
import { EventTransform } from '../eventing/event-transform.ts'
import {
  CronJobSource,
  apiServerSourceAsToday,
  asToday,
  FormerApiServerSource,
  KubernetesEventSource,
  unservedSources,
} from '../former/former-sources.ts'
import { JobSink } from '../sinks/job-sink.ts'
import { eventingKinds } from '../kinds.ts'
import { neverComes, pingScheduleProblem, separated } from './ping-schedule.ts'
import { PingSource } from './ping-source.ts'
import { SinkBinding } from './sink-binding.ts'

const platform = inMemoryPlatform({
  kinds: [...coreKinds, ...eventingKinds],
  clock: new SimClock(),
})
let made = 0

/** A spec that nobody has looked at yet. */
async function create(
  kind: Kind,
  spec: unknown,
  version = kind.version,
): Promise<KubeObject & { readonly spec: Readonly<Record<string, unknown>> }> {
  const object: KubeObject & { readonly spec: unknown } = {
    apiVersion: `${kind.group}/${version}`,
    kind: kind.kind,
    metadata: { name: `it-${++made}`, namespace: 'default' },
    spec,
  }
  const stored = await platform.client.create({ ...kind, version }, object)
  return stored as KubeObject & { readonly spec: Readonly<Record<string, unknown>> }
}

const refusal = async (kind: Kind, spec: unknown): Promise<string> => {
  try {
    await create(kind, spec)
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
  return 'accepted'
}

const sink = { uri: 'http://sink.example' }
const container = { name: 'c', image: 'x' }

describe('PingSource', () => {
  test('what is wrong with one is said where it is', async () => {
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ schedule: '* * * * *' }, /missing field\(s\): spec\.sink|got none: spec\.sink/],
      [
        { sink, schedule: '* * *' },
        /expected 5 to 6 fields, found 3: \[\* \* \*\]: spec\.schedule/,
      ],
      [{ sink, schedule: '@every 1m' }, /unsupported descriptor @every: spec\.schedule/],
      [
        { sink, schedule: '61 * * * * *' },
        /end of range \(61\) above maximum \(59\).*spec\.schedule/,
      ],
      [{ sink, timezone: 'Mars/Base' }, /unknown time zone Mars\/Base: spec\.timezone/],
      [{ sink, data: 'a', dataBase64: 'YQ==' }, /got both: spec\.data, spec\.dataBase64/],
      [{ sink, dataBase64: '?' }, /illegal base64 data: spec\.dataBase64/],
      [{ sink, data: '[1]', contentType: 'application/json' }, /must be a JSON object.*spec\.data/],
      [{ sink, data: '{', contentType: 'application/json' }, /spec\.data/],
      [
        { sink, ceOverrides: { extensions: { 'a-b': 'x' } } },
        /invalid key name "a-b": spec\.ceOverrides\.extensions/,
      ],
    ]
    for (const [spec, expected] of cases) assert.match(await refusal(PingSource, spec), expected)
    for (const schedule of [
      '@daily',
      '*/5 * * * * *',
      '0 7 * jan-mar mon-fri',
      'CRON_TZ=Asia/Tokyo 0 7 * * *',
    ])
      assert.equal(await refusal(PingSource, { sink, schedule }), 'accepted', schedule)
  })

  test('base64 may be wrapped, as the program base64 does', async () => {
    const wrapped = { sink, contentType: 'application/json', dataBase64: 'eyJhIjoi\r\nYiJ9\n' }
    assert.equal(await refusal(PingSource, wrapped), 'accepted')
    assert.match(await refusal(PingSource, { sink, dataBase64: 'YQ= =' }), /illegal base64 data/)
  })

  test('every minute when it says nothing; jsonData of the first versions is data', async () => {
    assert.equal((await create(PingSource, { sink })).spec['schedule'], '* * * * *')
    const old = await create(PingSource, { sink, jsonData: '{"a":1}' }, 'v1beta1')
    const stored = (await platform.client.get(PingSource, {
      namespace: 'default',
      name: old.metadata.name,
    })) as PingSource
    assert.equal(stored.spec.data, '{"a":1}')
    assert.equal(stored.spec.contentType, 'application/json')
  })

  test('schedules and their zones', () => {
    assert.deepEqual(separated('TZ=Asia/Tokyo @hourly', 'UTC'), {
      fields: '0 * * * *',
      zone: 'Asia/Tokyo',
    })
    assert.deepEqual(separated('? * * * *', ''), { fields: '* * * * *', zone: undefined })
    assert.equal(pingScheduleProblem('x'.repeat(2_000), '')?.field, 'schedule')
    const never = ['0 0 30 2 *', '0 0 31 4,JUN,9-9 ?', '5 0 0 31 feb *', 'TZ=UTC 0 0 30/1 2 *']
    for (const schedule of never) assert.ok(neverComes(schedule), schedule)
    const some = ['0 0 29 2 *', '0 0 30 2 1', '@yearly', '0 0 31 * *', '* * * * *', '0 0 31 */2 *']
    for (const schedule of some) assert.ok(!neverComes(schedule), schedule)
  })
})

test('ApiServerSource: mode, resources, filters', async () => {
  const resources = [{ apiVersion: 'v1', kind: 'Event' }]
  const { spec } = await create(ApiServerSource, { sink, resources })
  assert.equal(spec['mode'], 'Reference')
  assert.equal(spec['serviceAccountName'], 'default')
  assert.match(await refusal(ApiServerSource, { sink }), /missing field\(s\): spec\.resources/)
  assert.match(
    await refusal(ApiServerSource, { sink, resources, mode: 'All' }),
    /invalid value: All: spec\.mode/,
  )
  assert.match(
    await refusal(ApiServerSource, { sink, resources: [{ apiVersion: 'a/b/c', kind: 'X' }] }),
    /invalid value: a\/b\/c: spec\.resources\[0\]\.apiVersion/,
  )
  assert.match(
    await refusal(ApiServerSource, { sink, resources, filters: [{ exact: { type: 'a' } }] }),
    /NewAPIServerFilters feature is disabled/,
  )
})

test('SinkBinding and ContainerSource: subject and template', async () => {
  const subject = { apiVersion: 'apps/v1', kind: 'Deployment' }
  assert.match(
    await refusal(SinkBinding, { sink, subject }),
    /got neither: spec\.subject\.name, spec\.subject\.selector/,
  )
  assert.match(
    await refusal(SinkBinding, { sink, subject: { ...subject, name: 'a', namespace: 'other' } }),
    /spec\.subject\.namespace/,
  )
  assert.match(await refusal(ContainerSource, { sink }), /missing field\(s\): spec\.containers/)
  const { spec } = await create(ContainerSource, {
    sink,
    template: { spec: { containers: [{ image: 'x' }] } },
  })
  assert.match(JSON.stringify(spec), /"name":"it-\d+-0"/)
})

test('EventTransform: what goes together', async () => {
  const jsonata = { expression: '$' }
  assert.match(
    await refusal(EventTransform, { sink }),
    /expected exactly one, got neither: spec\.jsonata/,
  )
  assert.match(
    await refusal(EventTransform, { jsonata, reply: { discard: true } }),
    /reply is set without spec\.sink/,
  )
  assert.match(
    await refusal(EventTransform, { jsonata, sink, reply: { discard: true, jsonata } }),
    /got both: spec\.reply\.discard, spec\.reply\.jsonata/,
  )
  assert.equal(await refusal(EventTransform, { jsonata, sink, reply: { jsonata } }), 'accepted')
})

test('JobSink: its Job is looked at when it is made', async () => {
  assert.match(await refusal(JobSink, {}), /missing field\(s\): spec\.job/)
  const always = { spec: { template: { spec: { containers: [container] } } } }
  assert.match(await refusal(JobSink, { job: always }), /restartPolicy.*spec\.job/s)
  const template = { spec: { restartPolicy: 'Never', containers: [container] } }
  const { spec } = await create(JobSink, { job: { spec: { template } } })
  assert.match(JSON.stringify(spec), /"name":"K_EXECUTION_MODE","value":"batch"/)
})

test('sources of 2019 are taken as they were written', async () => {
  const bare = { apiVersion: 'eventing.knative.dev/v1alpha1', kind: 'Broker', name: 'default' }
  const written = {
    sink: bare,
    mode: 'Ref',
    resources: [{ apiVersion: 'v1', kind: 'Event', labelSelector: { matchLabels: { a: 'b' } } }],
  }
  const events = await create(FormerApiServerSource, written)
  assert.deepEqual(events.spec, written)
  const { spec } = apiServerSourceAsToday(events)
  assert.deepEqual(spec.sink, { ref: bare })
  assert.equal(spec.mode, 'Reference')
  assert.deepEqual(spec.resources, [
    { apiVersion: 'v1', kind: 'Event', selector: { matchLabels: { a: 'b' } } },
  ])
  assert.match(await refusal(CronJobSource, { sink: bare }), /empty spec string: spec\.schedule/)
  assert.equal(
    await refusal(CronJobSource, { sink: { ref: bare }, schedule: '* * * * *' }),
    'accepted',
  )
  assert.match(
    await refusal(CronJobSource, { sink: { ...bare, ref: bare } }),
    /got both: spec.sink/,
  )
  assert.match(
    await refusal(CronJobSource, { sink: bare, schedule: '* * * * *', data: { a: 1 } }),
    /invalid value: \{"a":1\}: spec\.data/,
  )
  const patched = async (from: object, to: object) => {
    const { metadata } = await create(CronJobSource, { sink: from, schedule: '* * * * *' })
    const key = { namespace: 'default', name: metadata.name }
    const body = { spec: { sink: to } }
    const after = await platform.client.patch(CronJobSource, key, { type: 'merge', body })
    return after.spec.sink
  }
  assert.deepEqual(await patched(bare, { ref: bare }), { ref: bare })
  assert.deepEqual(await patched({ ref: bare }, bare), bare)
  const watched = await create(KubernetesEventSource, { sink: bare, namespace: 'shop' })
  assert.deepEqual(watched.spec, { sink: bare, namespace: 'shop' })
  assert.deepEqual(asToday(watched).spec?.sink, { ref: bare })
  for (const kind of unservedSources)
    assert.equal(await refusal(kind, { sink: bare, whatever: 1 }), 'accepted')
})

test('sources.knative.dev/v1alpha1: a bare sink, and what was said in other words', async () => {
  const bare = { apiVersion: 'v1', kind: 'Service', name: 's' }
  const stored = async (kind: Kind, spec: object) => (await create(kind, spec, 'v1alpha1')).spec
  const ping = await stored(PingSource, { sink: bare, schedule: '* * * * *', jsonData: '{}' })
  assert.deepEqual(ping, {
    sink: { ref: bare },
    schedule: '* * * * *',
    data: '{}',
    contentType: 'application/json',
  })
  const bound = await stored(SinkBinding, { sink: bare, subject: bare })
  assert.deepEqual(Object(bound['sink']).ref, { ...bare, namespace: 'default' })
  const followed = await stored(ApiServerSource, {
    sink,
    mode: 'Ref',
    resources: [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        controller: true,
        labelSelector: { matchLabels: { a: 'b' } },
        controllerSelector: { apiVersion: 'apps/v1', kind: 'ReplicaSet' },
      },
    ],
  })
  assert.deepEqual(followed, {
    sink,
    mode: 'Reference',
    owner: { apiVersion: 'apps/v1', kind: 'ReplicaSet' },
    resources: [{ apiVersion: 'v1', kind: 'Pod', selector: { matchLabels: { a: 'b' } } }],
    serviceAccountName: 'default',
  })
  await assert.rejects(
    stored(PingSource, { sink: { ...bare, ref: bare }, schedule: '* * * * *' }),
    /expected exactly one, got both: spec\.sink/,
  )
})

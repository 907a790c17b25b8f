import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreKinds } from '../../../kube/api/kinds.ts'
import { Job } from '../../../kube/api/job.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { JobSink, jobSinkLabelValue } from '../../api/sinks/job-sink.ts'
import { eventingKinds } from '../../api/kinds.ts'
import { jobSinkHandler } from './endpoint.ts'

const event = {
  'ce-specversion': '1.0',
  'ce-id': 'a/b',
  'ce-type': 't',
  'ce-source': '/s',
  'content-type': 'application/json',
}

test('an event becomes a Job once, with the event in a file', async () => {
  await using platform = inMemoryPlatform({
    kinds: [...coreKinds, ...eventingKinds],
    clock: new SimClock(),
  })
  const { client } = platform
  const handle = jobSinkHandler(client)
  const ask = (method: string, target: string, headers: object = event, body = '{"n":1}') => {
    const fields = Object.entries(headers) as [string, string][]
    const head: Pick<RequestHead, 'method' | 'target' | 'names' | 'values'> = {
      method,
      target,
      names: fields.map(([name]) => name),
      values: fields.map(([, value]) => value),
    }
    return handle({ head: head as RequestHead, body: Buffer.from(body) })
  }
  const pod = {
    restartPolicy: 'Never',
    containers: [
      { name: 'own', image: 'x', volumeMounts: [{ name: 'jobsink-event', mountPath: '/mine' }] },
      { name: 'other', image: 'x' },
    ],
  }
  await client.create(JobSink, {
    apiVersion: 'sinks.knative.dev/v1alpha1',
    kind: 'JobSink',
    metadata: { name: 'work', namespace: 'default' },
    spec: { job: { spec: { template: { spec: pod } } } },
  })

  const first = await ask('POST', '/default/work')
  assert.equal(first.status, 202)
  const [[, place] = []] = first.headers ?? []
  assert.equal(place, '/namespaces/default/name/work/sources/%2Fs/ids/a%2Fb')
  assert.deepEqual(await ask('POST', '/default/work'), first)
  const { items } = await client.list<Job>(Job, 'default')
  assert.equal(items.length, 1)
  const [job] = items
  assert.equal(job?.metadata.labels?.['sinks.knative.dev/job-sink-name'], 'work')
  const paths = job?.spec.template.spec?.containers.map(
    ({ env }) => env?.find(({ name }) => name === 'K_EVENT_PATH')?.value,
  )
  assert.deepEqual(paths, ['/mine', '/etc/jobsink-event'])
  const secret = await client.get<Secret>(Secret, {
    namespace: 'default',
    name: job?.metadata.name ?? '',
  })
  const text = Buffer.from(secret.data?.['event'] ?? '', 'base64').toString()
  assert.deepEqual((JSON.parse(text) as { data: unknown }).data, { n: 1 })
  assert.equal(secret.immutable, true)
  assert.deepEqual(secret.metadata.labels, job?.metadata.labels)
  assert.equal(secret.metadata.ownerReferences?.[0]?.kind, 'Job')

  assert.equal((await ask('GET', place ?? '')).status, 202)
  await client.updateStatus<Job>(Job, {
    ...job,
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: job?.metadata ?? { name: '' },
    spec: job?.spec ?? { template: {} },
    status: { conditions: [{ type: 'Failed', status: 'True' }] },
  })
  const failed = await ask('GET', place ?? '')
  assert.equal(failed.status, 400)
  assert.deepEqual(failed.headers, [['Reason', 'Failed']])

  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const traced = { ...event, 'ce-id': 'traced', traceparent: trace, tracestate: 'a=b' }
  assert.equal((await ask('POST', '/default/work', traced)).status, 202)
  const told = (await client.list<Secret>(Secret, 'default')).items.map(({ data = {} }) =>
    Buffer.from(data['event'] ?? '', 'base64').toString(),
  )
  assert.equal(told.length, 2)
  assert.match(
    told.join(),
    /"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b"/,
  )

  // Sources and ids that are one text together are two events.
  const both = [
    { ...event, 'ce-source': '/orders/1', 'ce-id': '23' },
    { ...event, 'ce-source': '/orders/12', 'ce-id': '3' },
  ]
  const places = await Promise.all(
    [...both, ...both].map(async (each) => {
      const { status, headers } = await ask('POST', '/default/work', each)
      assert.equal(status, 202)
      return headers?.[0]?.[1] ?? ''
    }),
  )
  assert.equal(new Set(places).size, 2)
  const jobs = (await client.list<Job>(Job, 'default')).items
  assert.equal(jobs.length, 4)
  for (const each of both) {
    const [one] = (await client.list<Secret>(Secret, 'default')).items.filter(({ data = {} }) =>
      Buffer.from(data['event'] ?? '', 'base64').includes(`"${each['ce-source']}"`),
    )
    assert.ok(jobs.some(({ metadata }) => metadata.name === one?.metadata.name))
  }
  for (const each of places) assert.equal((await ask('GET', each)).status, 202)

  // In base64 it is more than a Secret holds: a Job without its event would wait for ever.
  const large = { ...event, 'ce-id': 'large', 'content-type': 'image/png' }
  const refused = await ask('POST', '/default/work', large, '\0'.repeat(900_000))
  assert.equal(refused.status, 413, String(refused.body))
  assert.equal((await client.list<Job>(Job, 'default')).items.length, 4)

  const long = 'l'.repeat(70)
  await client.create(JobSink, {
    apiVersion: 'sinks.knative.dev/v1alpha1',
    kind: 'JobSink',
    metadata: { name: long, namespace: 'default' },
    spec: { job: { spec: { template: { spec: pod } } } },
  })
  const taken = await ask('POST', `/default/${long}`)
  assert.equal(taken.status, 202, String(taken.body))
  const selected = { labelSelector: `sinks.knative.dev/job-sink-name=${jobSinkLabelValue(long)}` }
  assert.equal((await client.list<Job>(Job, 'default', selected)).items.length, 1)

  assert.equal((await ask('POST', '/default/nobody')).status, 400)
  assert.equal((await ask('POST', '/default')).status, 400)
  assert.equal((await ask('POST', '/default/work', {})).status, 400)
  assert.equal((await ask('PUT', '/default/work')).status, 400)
  assert.equal((await ask('GET', '/elsewhere')).status, 400)
  const unknown = place?.replace('a%2Fb', 'nobody') ?? ''
  assert.equal((await ask('GET', unknown)).status, 500)
})

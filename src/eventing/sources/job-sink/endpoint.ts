/**
 * Where JobSinks take events: `POST /namespace/name` makes a Job with the event in a file, and says where to ask for it
 * (contract eventing §2.16). The Job's name comes of the event's source and id, so an event that is sent again runs once.
 */
import { Job, jobCondition } from '../../../kube/api/job.ts'
import { controllerRef, type KubeObject } from '../../../kube/api/meta.ts'
import type { PodSpec } from '../../../kube/api/pod-spec.ts'
import { Secret } from '../../../kube/api/secret.ts'
import { hasReason } from '../../../kube/api/status-error.ts'
import type { Client } from '../../../kube/client/client.ts'
import { childName } from '../../../knative/child-name.ts'
import { md5 } from '../../../knative/hash.ts'
import type { BufferedAnswer, BufferedRequest } from '../../../lib/http1/buffered-server.ts'
import { headersOf } from '../../../lib/http1/head.ts'
import {
  eventVolume as volume,
  JobSink,
  jobSinkIdLabel,
  jobSinkLabel,
} from '../../api/sinks/job-sink.ts'
import { CloudEventError, textOf, type CloudEvent } from '../../cloudevents/cloud-event.ts'
import { decodeMessage, modeOf, type Headers } from '../../cloudevents/http-binding.ts'
import { formatJsonEvent } from '../../cloudevents/json-format.ts'

/** Writes of this client are on disk when they are answered: 202 is a promise. */
export type JobSinkHandler = (request: BufferedRequest) => Promise<BufferedAnswer>

const directory = '/etc/jobsink-event'
const maxSecretBytes = 1 << 20

/** Who may send to a JobSink; the refusal, if it is one. */
export type JobSinkGuard = (
  sink: JobSink,
  headers: Headers,
  events: readonly CloudEvent[],
) => Promise<BufferedAnswer | undefined>

export const jobSinkHandler =
  (client: Client, guard?: JobSinkGuard): JobSinkHandler =>
  async ({ head, body }) => {
    try {
      if (head.method === 'POST')
        return await take(head.target, headersOf(head), body, client, guard)
      if (head.method === 'GET') return await show(head.target, client)
      return refuse(400, `${head.method} is not possible here: events are sent by POST`)
    } catch (error) {
      if (error instanceof CloudEventError) return refuse(400, error.message)
      return refuse(500, error instanceof Error ? error.message : 'unknown')
    }
  }

async function take(
  target: string,
  headers: Headers,
  body: Buffer,
  client: Client,
  guard: JobSinkGuard | undefined,
): Promise<BufferedAnswer> {
  const [, namespace = '', name = '', ...rest] = target.split('/')
  if (namespace === '' || name === '' || rest.some((each) => each !== ''))
    return refuse(400, `path ${target}: a JobSink is at /NAMESPACE/NAME`)
  const sink = await found(client.get(JobSink, { namespace, name }))
  if (!sink) return refuse(400, `there is no JobSink ${name} in namespace ${namespace}`)
  if (modeOf(headers) === 'batched')
    return refuse(400, 'a batch of events is not taken: send them one by one')
  const [sent] = decodeMessage({ headers, body })
  const event = sent && withTrace(sent, headers)
  if (!event) return refuse(400, 'there is no event in the request')
  const refusal = await guard?.(sink, headers, [event])
  if (refusal) return refusal
  const text = formatJsonEvent(event)
  if (text.length > maxSecretBytes)
    return refuse(
      413,
      `the event has ${text.length} bytes as JSON; a Secret, which brings it to the Job, holds ${maxSecretBytes}`,
    )
  const job = await ensureJob(sink, event, client)
  await ensureSecret(job, text, client)
  const place = [
    '/namespaces',
    namespace,
    'name',
    name,
    'sources',
    encodeURIComponent(textOf(event.attributes['source'])),
    'ids',
    encodeURIComponent(textOf(event.attributes['id'])),
  ].join('/')
  return { status: 202, headers: [['Location', place]] }
}

/** The trace that its sender belongs to, for the Job to go on with; what the event says itself stays. */
function withTrace(event: CloudEvent, headers: Headers): CloudEvent {
  if (event.attributes['traceparent'] !== undefined) return event
  const told = headers.filter(
    ([name, value]) => /^trace(parent|state)$/.test(name) && /^[\x20-\x7E]+$/.test(value),
  )
  if (!told.some(([name]) => name === 'traceparent')) return event
  return { ...event, attributes: { ...event.attributes, ...Object.fromEntries(told) } }
}

/** `/namespaces/NS/name/NAME/sources/SOURCE/ids/ID`. */
const location = /^\/namespaces\/([^/]+)\/name\/([^/]+)\/sources\/([^/]+)\/ids\/([^/]+)\/?$/

async function show(target: string, client: Client): Promise<BufferedAnswer> {
  const [, namespace = '', name = '', source = '', id = ''] = location.exec(target) ?? []
  if (id === '')
    return refuse(400, `path ${target}: expected /namespaces/NS/name/NAME/sources/SOURCE/ids/ID`)
  const job = await client.get(Job, {
    namespace,
    name: jobName(name, decoded(source), decoded(id)),
  })
  if (jobCondition(job, 'Complete')) return { status: 200, headers: [['Reason', 'Complete']] }
  if (jobCondition(job, 'Failed')) return { status: 400, headers: [['Reason', 'Failed']] }
  return { status: 202, headers: [['Location', target]] }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const jobName = (sink: string, source: string, id: string): string =>
  childName(`${sink}-`, md5(`${source}${id}`))

/** The one of this event, made when it is missing. */
async function ensureJob(sink: JobSink, event: CloudEvent, client: Client): Promise<Job> {
  const desired = jobOf(sink, event)
  const { namespace = '', name } = desired.metadata
  const existing = await found(client.get(Job, { namespace, name }))
  if (existing) return existing
  try {
    return await client.create(Job, desired)
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return await client.get(Job, { namespace, name })
  }
}

export function jobOf(sink: JobSink, { attributes }: CloudEvent): Job {
  const { namespace = '', name } = sink.metadata
  const id = jobName(name, textOf(attributes['source']), textOf(attributes['id']))
  const { metadata = {}, spec } = sink.spec.job ?? { spec: { template: {} } }
  const { template } = spec
  return {
    apiVersion: 'batch/v1',
    kind: Job.kind,
    metadata: {
      name: id,
      namespace,
      labels: { ...metadata.labels, [jobSinkIdLabel]: id, [jobSinkLabel]: name },
      ...(metadata.annotations && { annotations: metadata.annotations }),
      ownerReferences: [controllerRef(sink)],
    },
    spec: {
      ...spec,
      template: { ...template, ...(template.spec && { spec: withEvent(template.spec, id) }) },
    },
  }
}

type Container = PodSpec['containers'][number]

/** The event as a file in each container, and where. */
function withEvent(pod: PodSpec, secretName: string): PodSpec {
  const mount = (container: Container): Container => {
    const mounts = container.volumeMounts ?? []
    const own = mounts.find(({ name }) => name === volume)
    const path = own?.mountPath ?? directory
    const env = (container.env ?? []).filter(({ name }) => name !== 'K_EVENT_PATH')
    return {
      ...container,
      env: [...env, { name: 'K_EVENT_PATH', value: path }],
      volumeMounts: own ? mounts : [...mounts, { name: volume, mountPath: path, readOnly: true }],
    }
  }
  const others = (pod.volumes ?? []).filter(({ name }) => name !== volume)
  return {
    ...pod,
    containers: pod.containers.map(mount),
    ...(pod.initContainers && { initContainers: pod.initContainers.map(mount) }),
    volumes: [...others, { name: volume, secret: { secretName } }],
  }
}

/** After the Job, which owns it; pods wait for it. */
async function ensureSecret(job: Job, event: Buffer, client: Client): Promise<void> {
  const { name, namespace = '' } = job.metadata
  const { kind } = Job
  const owner: KubeObject = { ...job, apiVersion: 'batch/v1', kind }
  try {
    await client.create(Secret, {
      apiVersion: 'v1',
      kind: Secret.kind,
      metadata: { name, namespace, ownerReferences: [controllerRef(owner)] },
      immutable: true,
      type: 'Opaque',
      data: { event: event.toString('base64') },
    })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
}

/** Undefined = there is none. */
async function found<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}

/** The reason as a header too, which must be short and plain. */
const refuse = (status: number, reason: string): BufferedAnswer => ({
  status,
  headers: [
    ['Reason', reason.replaceAll(/[^\x20-\x7E]+/g, ' ').slice(0, 400)],
    ['Content-Type', 'text/plain; charset=utf-8'],
  ],
  body: `${reason}\n`,
})

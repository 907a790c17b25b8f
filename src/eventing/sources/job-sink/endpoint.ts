/**
 * Where JobSinks take events: `POST /namespace/name` makes a Job with the event in a file, and says where to ask for it
 * (knative.dev/eventing `cmd/jobsink`). The Job's name comes of the event's source and id, so an event that is sent
 * again runs once.
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
import { refuse } from '../../../lib/http1/refusal.ts'
import { headersOf } from '../../../lib/http1/head.ts'
import {
  eventVolume as volume,
  JobSink,
  jobSinkIdLabel,
  jobSinkLabel,
  jobSinkLabelValue,
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
  const source = textOf(event.attributes['source'])
  const id = textOf(event.attributes['id'])
  const ensured = () => ensure(sink, { source, id, text }, client)
  // Two events of one name at once: the one that came second has its own now.
  if (!(await ensured()) && !(await ensured()))
    return refuse(500, `the Job of event ${id} from ${source} has the name of another event's`)
  const place = [
    '/namespaces',
    namespace,
    'name',
    name,
    'sources',
    encodeURIComponent(source),
    'ids',
    encodeURIComponent(id),
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
    name: await nameFor({ namespace, name }, decoded(source), decoded(id), client),
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

/**
 * What the Job of an event is called, and its Secret: by source and id, as Knative does. `/orders/1` with `23` and
 * `/orders/12` with `3` are one text, so whoever finds the name taken by another event has a name that no other comes to.
 */
async function nameFor(
  { namespace = '', name }: JobSink['metadata'],
  source: string,
  id: string,
  client: Client,
): Promise<string> {
  const usual = childName(`${name}-`, md5(`${source}${id}`))
  const secret = await found(client.get<Secret>(Secret, { namespace, name: usual }))
  if (!secret || isAbout(secret, source, id)) return usual
  return childName(`${name}-`, md5(JSON.stringify([source, id])))
}

function isAbout({ data = {} }: Secret, source: string, id: string): boolean {
  const text = Buffer.from(data['event'] ?? '', 'base64').toString()
  try {
    const event = JSON.parse(text) as { readonly source?: unknown; readonly id?: unknown }
    return event.source === source && event.id === id
  } catch {
    // Not one of ours.
    return true
  }
}

interface Told {
  readonly source: string
  readonly id: string
  /** The whole event, as JSON. */
  readonly text: Buffer
}

/** The Job and the Secret of an event, made when they are missing; false = their name was taken by another event meanwhile. */
async function ensure(sink: JobSink, event: Told, client: Client): Promise<boolean> {
  const called = await nameFor(sink.metadata, event.source, event.id, client)
  return await ensureSecret(await ensureJob(sink, called, client), event, client)
}

/** The one of this name, made when it is missing. */
async function ensureJob(sink: JobSink, called: string, client: Client): Promise<Job> {
  const desired = jobOf(sink, called)
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

function jobOf(sink: JobSink, called: string): Job {
  const { namespace = '', name } = sink.metadata
  const { metadata = {}, spec } = sink.spec.job ?? { spec: { template: {} } }
  const { template } = spec
  return {
    apiVersion: 'batch/v1',
    kind: Job.kind,
    metadata: {
      name: called,
      namespace,
      labels: {
        ...metadata.labels,
        [jobSinkIdLabel]: called,
        [jobSinkLabel]: jobSinkLabelValue(name),
      },
      ...(metadata.annotations && { annotations: metadata.annotations }),
      ownerReferences: [controllerRef(sink)],
    },
    spec: {
      ...spec,
      template: { ...template, ...(template.spec && { spec: withEvent(template.spec, called) }) },
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

/** After the Job, which owns it; pods wait for it. False = it is another event's. */
async function ensureSecret(
  job: Job,
  { source, id, text }: Told,
  client: Client,
): Promise<boolean> {
  const { name, namespace = '', labels = {} } = job.metadata
  const told = [jobSinkIdLabel, jobSinkLabel].map((label) => [label, labels[label] ?? ''] as const)
  const { kind } = Job
  const owner: KubeObject = { ...job, apiVersion: 'batch/v1', kind }
  try {
    await client.create(Secret, {
      apiVersion: 'v1',
      kind: Secret.kind,
      metadata: {
        name,
        namespace,
        labels: Object.fromEntries(told),
        ownerReferences: [controllerRef(owner)],
      },
      immutable: true,
      type: 'Opaque',
      data: { event: text.toString('base64') },
    })
    return true
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return isAbout(await client.get<Secret>(Secret, { namespace, name }), source, id)
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

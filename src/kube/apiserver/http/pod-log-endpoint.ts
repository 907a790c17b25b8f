/** GET pods/log: which container, which part of its log, then raw bytes. */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { badRequest, invalid } from '../../api/status-error.ts'
import { isTrue } from './request-options.ts'
import { fieldsOf } from '../values.ts'
import type { Fields } from '../values.ts'
import { drained } from './watch-response.ts'

/** Query parameters of `pods/log`. */
export interface PodLogOptions {
  readonly follow: boolean
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  readonly limitBytes?: number
  /** Lines written at or after this moment, milliseconds since the epoch. */
  readonly sinceMs?: number
}

/** Where container logs come from: the node agent. */
export interface PodLogs {
  /**
   * Raw bytes of one container's log, whole lines. With `follow` it ends when the container ends. Throws StatusError
   * (BadRequest) when there is no such log, before the first chunk.
   */
  read(
    pod: UnknownObject,
    container: string,
    options: PodLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
}

/** Streams one container's log. Throws StatusError as long as nothing has been sent. */
export async function sendPodLog(
  response: ServerResponse,
  pod: UnknownObject,
  query: URLSearchParams,
  deps: { readonly logs: PodLogs; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const options = logOptions(pod, query, deps.clock.now())
  const container = chooseContainer(pod, query.get('container') ?? '')
  checkStarted(pod, container, options)
  const chunks = deps.logs.read(pod, container, options, deps.signal)[Symbol.asyncIterator]()
  try {
    // Headers at once for a log that is followed: it may have nothing to say yet. Otherwise the first chunk tells
    // whether there is a log at all.
    const first = options.follow ? undefined : await chunks.next()
    response.statusCode = 200
    response.setHeader('Content-Type', 'text/plain')
    response.flushHeaders()
    for (let next = first ?? (await chunks.next()); !next.done; next = await chunks.next()) {
      if (response.destroyed) return
      if (!response.write(next.value)) await drained(response, deps.clock)
    }
  } finally {
    await chunks.return?.()
  }
  response.end()
}

function logOptions(pod: UnknownObject, query: URLSearchParams, nowMs: number): PodLogOptions {
  const flag = (name: string): boolean => query.has(name) && isTrue(query.get(name) ?? '')
  const whole = (name: string): number | undefined => {
    const value = query.get(name)
    if (value === null || value === '') return undefined
    if (!/^-?\d{1,15}$/.test(value))
      throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`)
    return Number(value)
  }
  const refuse = (field: string, detail: string, reason = 'FieldValueInvalid') =>
    invalid({ group: '', kind: 'PodLogOptions', plural: '' }, pod.metadata.name, [
      { reason, field, detail },
    ])
  const tailLines = whole('tailLines')
  const limitBytes = whole('limitBytes')
  const sinceSeconds = whole('sinceSeconds')
  const sinceTime = query.get('sinceTime')
  if (tailLines !== undefined && tailLines < 0)
    throw refuse('tailLines', `Invalid value: ${tailLines}: must be greater than or equal to 0`)
  if (limitBytes !== undefined && limitBytes < 1)
    throw refuse('limitBytes', `Invalid value: ${limitBytes}: must be greater than 0`)
  if (sinceSeconds !== undefined && sinceTime)
    throw refuse(
      'sinceSeconds',
      'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
      'FieldValueForbidden',
    )
  if (sinceSeconds !== undefined && sinceSeconds < 1)
    throw refuse('sinceSeconds', `Invalid value: ${sinceSeconds}: must be greater than 0`)
  const since = sinceTime ? Date.parse(sinceTime) : undefined
  if (since !== undefined && Number.isNaN(since))
    throw badRequest(`parsing time ${JSON.stringify(sinceTime)}: cannot parse as RFC 3339`)
  const sinceMs = sinceSeconds === undefined ? since : nowMs - sinceSeconds * 1000
  return {
    follow: flag('follow'),
    previous: flag('previous'),
    timestamps: flag('timestamps'),
    ...(tailLines !== undefined && { tailLines }),
    ...(limitBytes !== undefined && { limitBytes }),
    ...(sinceMs !== undefined && { sinceMs }),
  }
}

/** The container that is meant: the one asked for, or the only one. Throws BadRequest. */
export function chooseContainer(pod: UnknownObject, asked: string): string {
  const { name } = pod.metadata
  const names = namesIn(pod, 'containers')
  const initNames = namesIn(pod, 'initContainers')
  if (asked !== '') {
    if ([...names, ...initNames, ...namesIn(pod, 'ephemeralContainers')].includes(asked))
      return asked
    throw badRequest(`container ${asked} is not valid for pod ${name}`)
  }
  const [only, ...others] = names
  if (only !== undefined && others.length === 0 && initNames.length === 0) return only
  const inits =
    initNames.length > 0 ? ` or one of the init containers: [${initNames.join(' ')}]` : ''
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${names.join(' ')}]${inits}`,
  )
}

/** Refuses the log of a container that has never run, in the kubelet's words. */
function checkStarted(pod: UnknownObject, container: string, { previous }: PodLogOptions): void {
  const { name } = pod.metadata
  const status = statusOf(pod, container)
  const last = fieldsOf(fieldsOf(status['lastState'])['terminated'])
  if (previous) {
    if (!last['containerID'] && !last['finishedAt'] && !status['restartCount'])
      throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`)
    return
  }
  const { waiting } = fieldsOf(status['state'])
  // Between two runs, and after a crash, the log of the run before is what there is.
  if (waiting === undefined || status['restartCount'] || last['finishedAt']) return
  const { reason } = fieldsOf(waiting)
  const why =
    reason === 'ErrImagePull'
      ? "image can't be pulled"
      : reason === 'ImagePullBackOff'
        ? 'trying and failing to pull image'
        : typeof reason === 'string'
          ? reason
          : 'ContainerCreating'
  throw badRequest(`container "${container}" in pod "${name}" is waiting to start: ${why}`)
}

function namesIn(pod: UnknownObject, field: string): string[] {
  const containers = fieldsOf(pod['spec'])[field]
  if (!Array.isArray(containers)) return []
  return containers.map((each: unknown) => String(fieldsOf(each)['name']))
}

function statusOf(pod: UnknownObject, container: string): Fields {
  const status = fieldsOf(pod['status'])
  const all = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'].flatMap(
    (field) => status[field] ?? [],
  )
  return fieldsOf(all.find((each) => fieldsOf(each)['name'] === container))
}

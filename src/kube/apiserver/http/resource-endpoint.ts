/** HTTP requests for resources: path, query and body to an `ApiRequest`, its answer back in the form asked for. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { KindDefinition, UserInfo } from '../../api/kind.ts'
import type { ApiRequest, ApiResponse, Verb } from '../../api/protocol.ts'
import { parseFieldSelector } from '../../api/selectors.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { addWarnings, send, toJson, toYaml, transformed, wantsIndent } from './answers.ts'
import type { AnswerOptions } from './answers.ts'
import type { ApiServer } from '../api-server.ts'
import { sendLongList } from './list-response.ts'
import { methodNotAllowed, unknownResource } from '../machinery.ts'
import type { AuditRecord } from '../access/audit/audit.ts'
import { negotiate } from './media-types.ts'
import type { Representation } from './media-types.ts'
import type { OptionsKind } from './option-errors.ts'
import { sendPodLog } from './pod-log-endpoint.ts'
import type { PodLogs } from './pod-log-endpoint.ts'
import { decodeBody, patchTypeOf, readBody } from './request-body.ts'
import { isTrue, readOptions, withDeleteOptions } from './request-options.ts'
import type { ResourcePath } from './request-path.ts'
import { Scale } from '../verbs/scale.ts'
import { inVersion, type IncludeObject } from '../documents/table.ts'
import { isRecord } from '../values.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { sendWatch } from './watch-response.ts'

export interface ResourceEndpoint {
  readonly api: ApiServer
  readonly clock: Clock
  readonly streams: Streams
  readonly logs?: PodLogs
  readonly answerStream?: AnswerStream
}

/** Answers an authorized request itself, or undefined when it is not for it. */
export type AnswerStream = (call: Call) => Promise<void> | undefined

/** Answers without an end: watches and followed logs. They must not take the connections that others need. */
export class Streams {
  readonly #limit: number
  /** What one user may have of them. */
  readonly #userLimit: number
  readonly #users = new Map<string, number>()
  #open = 0

  constructor(limit: number) {
    this.#limit = limit
    this.#userLimit = Math.max(1, Math.floor(limit * 0.8))
  }

  get open(): number {
    return this.#open
  }

  /** Counts a stream until it has ended. Throws TooManyRequests. */
  async run(stream: () => Promise<void>, user: string): Promise<void> {
    const own = this.#users.get(user) ?? 0
    if (this.#open >= this.#limit || own >= this.#userLimit)
      throw new StatusError(
        'TooManyRequests',
        'too many watches and followed logs are open, please try again later',
        { retryAfterSeconds: 1 },
      )
    this.#open++
    this.#users.set(user, own + 1)
    try {
      await stream()
    } finally {
      this.#open--
      const left = (this.#users.get(user) ?? 1) - 1
      if (left > 0) this.#users.set(user, left)
      else this.#users.delete(user)
    }
  }
}

export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  readonly path: ResourcePath
  readonly user: UserInfo
  /** Aborts when the client leaves or the server stops. */
  readonly signal: AbortSignal
  /** Where the audit log is told of it. */
  readonly record?: AuditRecord
}

/** Answers one request. Throws StatusError as long as nothing has been sent. */
export async function answerResource(endpoint: ResourceEndpoint, call: Call): Promise<void> {
  const { request, response, url, path, user, signal, record } = call
  const { api, clock } = endpoint
  const { kind, verb } = authorizedTarget(endpoint, call)
  await api.admitConnect(path, url.searchParams, user)
  const streamed = endpoint.answerStream?.(call)
  if (streamed) return streamed
  if (kind?.plural === 'pods' && kind.group === '' && path.subresource === 'log')
    return answerLog(endpoint, call, verb)

  const representation = negotiate(request.headers.accept)
  if (!representation) throw notAcceptable()
  const includeObject = includeObjectOf(url, representation)
  const shownKind = path.subresource === 'scale' ? Scale : kind
  const options = readOptions(url.searchParams, optionsKinds[verb])
  const patchType = verb === 'patch' ? patchTypeOf(request.headers['content-type']) : undefined
  if (verb === 'patch' && !patchType)
    throw new StatusError('UnsupportedMediaType', '415: Unsupported Media Type')
  const body = await bodyOf(call, verb, shownKind)
  record?.requestObject(body.value)
  const answer = await api.handle({
    verb,
    group: path.group,
    // Cells and metadata are the same in every version: a table needs no conversion.
    version:
      kind &&
      !kind.custom &&
      representation.as === 'Table' &&
      includeObject !== 'Object' &&
      isRead(verb)
        ? kind.version
        : path.version,
    resource: path.resource,
    subresource: path.subresource,
    namespace: path.namespace,
    name: path.name,
    options:
      verb === 'delete' || verb === 'deletecollection'
        ? withDeleteOptions(options, body.value)
        : verb === 'watch'
          ? { timeoutSeconds: watchSeconds(clock), ...options }
          : options,
    ...(patchType && { patchType }),
    body: body.value,
    duplicateFields: body.duplicates,
    user,
    ...(request.headers['user-agent'] && { agent: request.headers['user-agent'] }),
    durable: true,
    signal,
    ...(record && { annotate: (key: string, value: string) => record.annotate(key, value) }),
  })
  record?.responseObject(answer.body)
  if (answer.events) record?.started()
  addWarnings(response, warningsOf(answer, kind, path.version))
  const tableKind =
    shownKind && representation.as === 'Table' ? inVersion(shownKind, path.version) : shownKind
  await sendAnswer(endpoint, call, answer, tableKind, { representation, includeObject })
}

/** The kind and verb that a request is about. Throws Forbidden when its caller may not. */
export function authorizedTarget(
  { api }: ResourceEndpoint,
  call: Omit<Call, 'response' | 'signal'>,
): { readonly kind: KindDefinition | undefined; readonly verb: Verb } {
  const { path, user } = call
  const kind = api.find(path.group, path.version, path.resource)
  const verb = verbOf(call, kind)
  const { authorizer } = api.access
  const attributes = {
    verb,
    group: path.group,
    resource: path.resource,
    subresource: path.subresource,
    // A namespace is in itself: who may read what is in it may read it.
    namespace: path.resource === 'namespaces' ? path.name : path.namespace,
    name: path.name || selectedName(verb, call.url),
  }
  const refusal = authorizer.authorize(user, attributes)
  if (call.record) {
    const { allowed, reason } = authorizer.explain(user, attributes)
    call.record.annotate('authorization.k8s.io/decision', allowed ? 'allow' : 'forbid')
    call.record.annotate('authorization.k8s.io/reason', reason)
  }
  if (refusal) throw refusal
  return { kind, verb }
}

/** The one object that a field selector asks for by name. */
function selectedName(verb: Verb, { searchParams }: URL): string {
  if (verb !== 'list' && verb !== 'watch' && verb !== 'deletecollection') return ''
  const selector = searchParams.get('fieldSelector')
  if (!selector?.includes('metadata.name')) return ''
  try {
    // Read as the list itself will read it: a right to one name must not become a right to others.
    const names = parseFieldSelector(selector).filter(({ field }) => field === 'metadata.name')
    return names.length === 1 && names[0]?.operator === '=' ? names[0].value : ''
  } catch {
    return '' // refused with what is wrong with it, once the caller may
  }
}

async function sendAnswer(
  { clock, streams }: ResourceEndpoint,
  { request, response, url, user }: Call,
  answer: ApiResponse,
  kind: KindDefinition | undefined,
  form: Pick<AnswerOptions, 'representation' | 'includeObject'>,
): Promise<void> {
  const { events } = answer
  if (events) {
    if (!kind) throw unknownResource()
    return streams.run(() => sendWatch(response, events, { ...form, kind, clock }), user.username)
  }
  const indent = wantsIndent(url.searchParams.get('pretty'), request.headers['user-agent'])
  if (kind && !indent && (await sendLongList(response, answer.body, { ...form, kind, clock })))
    return
  const body = kind ? transformed(answer.body, { ...form, kind, nowMs: clock.now() }) : answer.body
  if (form.representation.format === 'yaml')
    return send(
      response,
      answer.code,
      'application/yaml',
      await toYaml(JSON.parse(toJson(body, kind, false))),
    )
  send(response, answer.code, 'application/json', `${toJson(body, kind, indent)}\n`)
}

/** A table is made of the stored version, but the caller asked in one that may be old. */
function warningsOf(
  { warnings = [] }: ApiResponse,
  kind: KindDefinition | undefined,
  version: string,
): readonly string[] {
  const old = kind?.versions?.find((each) => each.version === version)?.deprecationWarning
  return old === undefined || warnings.includes(old) ? warnings : [old, ...warnings]
}

const isRead = (verb: Verb): boolean => verb === 'get' || verb === 'list' || verb === 'watch'

/** Watches without a limit of their own end after half an hour to an hour, not all at once. */
const watchSeconds = (clock: Clock): number => 1800 + (Math.floor(clock.now()) % 1800)

const optionsKinds: Readonly<Record<Verb, OptionsKind>> = {
  get: 'ListOptions',
  list: 'ListOptions',
  watch: 'ListOptions',
  create: 'CreateOptions',
  update: 'UpdateOptions',
  patch: 'PatchOptions',
  delete: 'DeleteOptions',
  deletecollection: 'DeleteOptions',
}

function verbOf(
  { request, url, path }: Omit<Call, 'response' | 'signal'>,
  kind: KindDefinition | undefined,
): Verb {
  const named = path.name !== ''
  // A path across all namespaces is for reading only.
  const across = kind?.namespaced === true && path.namespace === ''
  switch (request.method) {
    case 'GET':
    case 'HEAD': {
      const asked = url.searchParams.get('watch')
      const watches = path.watch || (asked !== null && isTrue(asked))
      return named && !path.watch ? 'get' : watches ? 'watch' : 'list'
    }
    case 'POST':
      if (named ? path.subresource === '' : across) throw methodNotAllowed()
      return 'create'
    case 'PUT':
      if (!named) throw methodNotAllowed()
      return 'update'
    case 'PATCH':
      if (!named) throw methodNotAllowed()
      return 'patch'
    case 'DELETE':
      if (!named && across) throw methodNotAllowed()
      return named ? 'delete' : 'deletecollection'
    default:
      throw methodNotAllowed()
  }
}

async function bodyOf({ request }: Call, verb: Verb, kind: KindDefinition | undefined) {
  if (isRead(verb)) return { value: undefined, duplicates: [] }
  const bytes = await readBody(request)
  const contentType = request.headers['content-type']
  if (verb === 'patch') {
    const yaml = patchTypeOf(contentType) === 'apply'
    try {
      return await decodeBody(bytes, yaml ? 'application/yaml' : 'application/json', '')
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      throw badRequest(`error decoding patch: ${why}`)
    }
  }
  const expected = verb === 'create' || verb === 'update' ? (kind?.kind ?? '') : 'DeleteOptions'
  return decodeBody(bytes, contentType, expected)
}

function includeObjectOf(url: URL, { as }: Representation): IncludeObject {
  const value = url.searchParams.get('includeObject') ?? 'Metadata'
  if (value === 'Metadata' || value === 'Object' || value === 'None' || value === '')
    return value === '' ? 'Metadata' : value
  if (as !== 'Table') return 'Metadata'
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: unrecognized includeObject value`,
  )
}

const notAcceptable = (): StatusError =>
  new StatusError(
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml',
  )

async function answerLog({ api, clock, logs, streams }: ResourceEndpoint, call: Call, verb: Verb) {
  const { path, user, response, url, signal } = call
  if (verb !== 'get') throw methodNotAllowed()
  const request: ApiRequest = {
    verb: 'get',
    group: '',
    version: path.version,
    resource: 'pods',
    namespace: path.namespace,
    name: path.name,
    options: {},
    user,
    durable: true,
  }
  const { body } = await api.handle(request)
  if (!isStored(body)) throw unknownResource()
  if (!logs)
    throw new StatusError('ServiceUnavailable', 'no node agent runs here that could read logs')
  const sendLog = () => sendPodLog(response, body, url.searchParams, { logs, clock, signal })
  await (isTrue(url.searchParams.get('follow') ?? 'false')
    ? streams.run(sendLog, user.username)
    : sendLog())
}

const isStored = (body: unknown): body is UnknownObject =>
  isRecord(body) && isRecord(body['metadata'])

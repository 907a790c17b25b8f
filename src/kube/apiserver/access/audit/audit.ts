/**
 * The audit log: one line of JSON an event (audit.k8s.io/v1), as the policy wants it. A request is told when it comes,
 * when an answer without an end begins, and when all is over.
 */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../../../lib/clock.ts'
import type { UserInfo } from '../../../api/kind.ts'
import type { RequestInfo } from '../request-info.ts'
import { fieldsOf, isRecord, without } from '../../values.ts'
import type { AuditPolicy, Stage } from './policy.ts'

export interface AuditOptions {
  readonly policy: AuditPolicy
  readonly clock: Clock
  /** A line with its newline. */
  readonly write: (line: string) => void
}

/** What is noted of one request while it is answered. */
export interface AuditRecord {
  requestObject(value: unknown): void
  responseObject(value: unknown): void
  /** What parts of the server have to say (`authorization.k8s.io/decision`, findings of admission). */
  annotate(key: string, value: string): void
  /** An answer without an end has begun. */
  started(): void
  /** Nothing more comes. Once. */
  ended(code: number): void
}

export type Audit = (about: {
  readonly id: string
  readonly request: IncomingMessage
  readonly info: RequestInfo
  /** Who called, and for whom, when that is somebody else. */
  readonly caller: UserInfo
  readonly user: UserInfo
}) => AuditRecord | undefined

/** Annotations of one request; further ones are dropped. */
const maxAnnotations = 64
const maxUriLength = 2048

/** Answers records for the requests that the policy wants to hear of. */
export function openAudit({ policy, clock, write }: AuditOptions): Audit {
  return ({ id, request, info, caller, user }) => {
    const { url = '', headers, socket } = request
    const [path = ''] = url.split('?', 1)
    // Rules are about who called, whoever he said he is.
    const verdict = policy.verdict(caller, info, path)
    if (verdict.level === 'None') return undefined
    const received = clock.now()
    const annotations: Record<string, string> = {}
    let requestObject: unknown
    let responseObject: unknown
    const body = (value: unknown) => (verdict.omitManagedFields ? withoutManaged(value) : value)
    const tell = (stage: Stage, code?: number): void => {
      if (verdict.omitStages.has(stage)) return
      const event = {
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        level: verdict.level,
        auditID: id,
        stage,
        requestURI: url.slice(0, maxUriLength),
        verb: info.verb,
        user: userFields(caller),
        ...(user !== caller && { impersonatedUser: userFields(user) }),
        sourceIPs: [socket.remoteAddress ?? ''],
        ...(headers['user-agent'] && { userAgent: headers['user-agent'].slice(0, 1024) }),
        ...(info.path && { objectRef: objectRef(info, requestObject, responseObject) }),
        ...(code !== undefined && { responseStatus: responseStatus(code, responseObject) }),
        ...(requestObject !== undefined &&
          verdict.level !== 'Metadata' && { requestObject: body(requestObject) }),
        ...(responseObject !== undefined &&
          stage === 'ResponseComplete' &&
          verdict.level === 'RequestResponse' && { responseObject: body(responseObject) }),
        requestReceivedTimestamp: micro(received),
        stageTimestamp: micro(clock.now()),
        ...(Object.keys(annotations).length > 0 && { annotations }),
      }
      write(`${JSON.stringify(event)}\n`)
    }
    tell('RequestReceived')
    let over = false
    return {
      requestObject: (value) => void (requestObject = value),
      responseObject: (value) => void (responseObject = value),
      annotate(key, value) {
        if (Object.keys(annotations).length < maxAnnotations) annotations[key] = value
      },
      started: () => tell('ResponseStarted', 200),
      ended(code) {
        if (over) return
        over = true
        tell('ResponseComplete', code)
      },
    }
  }
}

const userFields = ({ username, uid, groups, extra }: UserInfo) => ({
  username,
  ...(uid && { uid }),
  groups,
  ...(extra && { extra }),
})

function objectRef({ path }: RequestInfo, sent: unknown, answered: unknown) {
  const { group, version, resource, namespace, name, subresource } = path ?? {}
  const metadata = fieldsOf(fieldsOf(sent)['metadata'])
  const stored = fieldsOf(fieldsOf(answered)['metadata'])
  // The name of what a POST makes stands in its body, or is given it.
  const named = name || text(metadata['name']) || text(stored['name'])
  return {
    resource,
    ...(namespace && { namespace }),
    ...(named && { name: named }),
    ...(text(metadata['uid']) && { uid: metadata['uid'] }),
    ...(group && { apiGroup: group }),
    apiVersion: version,
    ...(text(metadata['resourceVersion']) && { resourceVersion: metadata['resourceVersion'] }),
    ...(subresource && { subresource }),
  }
}

function responseStatus(code: number, answered: unknown) {
  const { kind, status, message, reason, details } = fieldsOf(answered)
  return {
    metadata: {},
    ...(kind === 'Status' && { status, message, reason, details }),
    code,
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

const micro = (ms: number): string => `${new Date(ms).toISOString().slice(0, -1)}000Z`

function withoutManaged(value: unknown): unknown {
  if (!isRecord(value)) return value
  const { items, metadata } = value
  if (Array.isArray(items)) return { ...value, items: items.map(withoutManaged) }
  return isRecord(metadata) ? { ...value, metadata: without(metadata, 'managedFields') } : value
}

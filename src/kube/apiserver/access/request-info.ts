/** What a request wants, told from its first line alone: for authorization of paths, queues, audit log and metrics. */
import type { IncomingMessage } from 'node:http'
import { isTrue } from '../http/request-options.ts'
import { parseResourcePath, type ResourcePath } from '../http/request-path.ts'

export interface RequestInfo {
  /** Kubernetes' verb: `list`, `watch`, `deletecollection`…; of a path the method in lower case. */
  readonly verb: string
  /** Absent for what is no resource. */
  readonly path: ResourcePath | undefined
  /** Without an end that one could wait for: watches, followed logs, exec, proxied connections. */
  readonly longRunning: boolean
  readonly mutating: boolean
}

const streaming = new Set([
  'exec',
  'attach',
  'portforward',
  'proxy',
  // Of Brokers and channels: logs that may be long, and many events sent again; they have a bound of their own.
  'events',
  'tail',
  'ways',
  'trace',
  'dead-letters',
  'replay',
  'redrive',
])
const reading = new Set(['get', 'list', 'watch', 'head', 'options'])

export function requestInfo({ method = 'GET' }: IncomingMessage, url: URL): RequestInfo {
  const path = parseResourcePath(url.pathname)
  const verb = path ? resourceVerb(method, path, url) : method.toLowerCase()
  const { searchParams } = url
  const longRunning =
    verb === 'watch' ||
    (path !== undefined && streaming.has(path.subresource)) ||
    (path?.subresource === 'log' && isTrue(searchParams.get('follow') ?? 'false'))
  return { verb, path, longRunning, mutating: !reading.has(verb) }
}

function resourceVerb(method: string, path: ResourcePath, { searchParams }: URL): string {
  const named = path.name !== ''
  switch (method) {
    case 'GET':
    case 'HEAD': {
      const watch = searchParams.get('watch')
      if (named && !path.watch) return 'get'
      return path.watch || (watch !== null && isTrue(watch)) ? 'watch' : 'list'
    }
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return named ? 'delete' : 'deletecollection'
    default:
      return method.toLowerCase()
  }
}

/** The part of a program's User-Agent that stays the same from call to call. */
export const agentOf = ({ headers }: IncomingMessage): string =>
  (headers['user-agent'] ?? '').slice(0, 100)

/**
 * Paths of subresources besides `status` and `scale`: a pod's log, its streams, eviction, tokens of accounts. What a
 * stream is asked for stands in the query, as client libraries send it.
 */
import { definition } from '../../api/builtin.ts'
import type { Subresource } from '../served.ts'

/** Names and types of a subresource's query parameters. */
const queries: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  log: {
    container: 'string',
    follow: 'boolean',
    previous: 'boolean',
    timestamps: 'boolean',
    sinceSeconds: 'integer',
    tailLines: 'integer',
    limitBytes: 'integer',
  },
  exec: {
    command: 'string',
    container: 'string',
    stdin: 'boolean',
    stdout: 'boolean',
    stderr: 'boolean',
    tty: 'boolean',
  },
  attach: {
    container: 'string',
    stdin: 'boolean',
    stdout: 'boolean',
    stderr: 'boolean',
    tty: 'boolean',
  },
  portforward: { ports: 'integer' },
  proxy: { path: 'string' },
}

/** What each method is in the words of operations: `create` by POST… */
const methods = {
  get: ['get', 'read'],
  create: ['post', 'create'],
  update: ['put', 'replace'],
  patch: ['patch', 'patch'],
  delete: ['delete', 'delete'],
} as const

export interface SubresourceOperation {
  readonly method: string
  /** `read` for the operation's name. */
  readonly verb: string
  /** `x-kubernetes-action`. */
  readonly action: string
  readonly parameters: readonly unknown[]
  /** Component of body and answer; undefined = text, as it comes. */
  readonly component: string | undefined
  readonly group: string
  readonly version: string
}

/** The operations of a subresource of a core kind. `own`: component of the kind that it belongs to. */
export function* operationsOf(
  subresource: Subresource,
  own: {
    readonly kind: string
    readonly group: string
    readonly version: string
    readonly name: string
  },
): Generator<SubresourceOperation> {
  const { name, kind, group = own.group, version = own.version, verbs } = subresource
  const streamed = queries[name]
  const short = group.replace(/\.k8s\.io$/, '') || 'core'
  const component =
    streamed !== undefined
      ? undefined
      : kind === own.kind
        ? own.name
        : known(`io.k8s.api.${short}.${version}.${kind}`)
  for (const [verb, [method, word]] of Object.entries(methods)) {
    if (!verbs.includes(verb)) continue
    const connects = streamed !== undefined && name !== 'log'
    yield {
      method,
      verb: connects ? `connect${method.slice(0, 1).toUpperCase()}${method.slice(1)}` : word,
      action: connects ? 'connect' : method,
      parameters: Object.entries(streamed ?? {}).map(([parameter, type]) => ({
        name: parameter,
        in: 'query',
        description: `See \`kubectl ${name === 'log' ? 'logs' : name} --help\`.`,
        schema: { type, uniqueItems: true },
      })),
      component,
      group,
      version,
    }
  }
}

const known = (name: string): string | undefined => (definition(name) ? name : undefined)

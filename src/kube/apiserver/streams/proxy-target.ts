/** Where a request to a proxy subresource goes: `pods/[scheme:]name[:port]`, `services/[scheme:]name[:port]`. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { UserInfo } from '../../api/kind.ts'
import type { UnknownObject } from '../../api/meta.ts'
import type { Api } from '../../api/protocol.ts'
import { badRequest, StatusError } from '../../api/status-error.ts'
import { unknownResource } from '../machinery.ts'
import type { ResourcePath } from '../http/request-path.ts'
import { fieldsOf, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'
import type { PodStreams } from './pod-streams.ts'

export interface ProxyTarget {
  readonly scheme: 'http' | 'https'
  /** As it stands in the Host header. */
  readonly host: string
  connect(): Promise<Duplex>
}

export interface TargetDeps {
  readonly api: Api
  readonly streams: PodStreams
  readonly clock: Clock
}

/** Who may use a subresource need not read what it is about: the server does that itself. */
const ownUser: UserInfo = {
  username: 'system:apiserver',
  groups: ['system:masters', 'system:authenticated'],
}
const connectLimitMs = 10_000

/** An object of the core group. Throws NotFound. */
export async function readObject(
  api: Api,
  resource: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<UnknownObject> {
  const { body } = await api.handle({
    verb: 'get',
    group: '',
    version: 'v1',
    resource,
    namespace,
    name,
    options: {},
    user: ownUser,
    durable: true,
  })
  if (!isObject(body)) throw unknownResource()
  return body
}

const isObject = (body: unknown): body is UnknownObject =>
  isRecord(body) && isRecord(body['metadata'])

/** Throws NotFound, BadRequest and ServiceUnavailable. */
export async function proxyTarget(
  { resource, namespace, name }: ResourcePath,
  deps: TargetDeps,
): Promise<ProxyTarget> {
  const singular = resource.slice(0, -1)
  const parts = splitName(name)
  if (!parts) throw badRequest(`invalid ${singular} request ${JSON.stringify(name)}`)
  const key = { namespace, name: parts.name }
  switch (resource) {
    case 'pods':
      return podTarget(await readObject(deps.api, 'pods', key), parts, deps)
    case 'services':
      return await serviceTarget(await readObject(deps.api, 'services', key), parts, deps)
    default:
      throw new StatusError(
        'ServiceUnavailable',
        `error trying to reach service: ${singular} ${JSON.stringify(parts.name)} has no server of its own here; logs are read from pods, metrics from /metrics of this API server`,
      )
  }
}

interface NameParts {
  readonly scheme: 'http' | 'https'
  readonly name: string
  readonly port: string
}

/** `name`, `name:port`, `scheme:name:port`; undefined for anything else. */
export function splitName(text: string): NameParts | undefined {
  const parts = text.split(':')
  const [scheme = '', name = '', port = ''] =
    parts.length === 3 ? parts : ['', parts[0] ?? '', parts[1] ?? '']
  if (parts.length > 3 || name === '') return undefined
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') return undefined
  return { scheme: scheme === 'https' ? 'https' : 'http', name, port }
}

const listOf = (value: unknown): readonly Fields[] =>
  Array.isArray(value) ? value.map(fieldsOf) : []

function podTarget(
  pod: UnknownObject,
  { scheme, port }: NameParts,
  { streams }: TargetDeps,
): ProxyTarget {
  const ports = listOf(fieldsOf(pod['spec'])['containers']).flatMap(({ ports: own }) => listOf(own))
  const found =
    port === ''
      ? (ports[0]?.['containerPort'] ?? (scheme === 'https' ? 443 : 80))
      : (ports.find(({ name }) => name === port)?.['containerPort'] ?? Number(port))
  if (typeof found !== 'number' || !(found > 0 && found < 65_536))
    throw badRequest(`pod ${pod.metadata.name} has no port ${JSON.stringify(port)}`)
  const { podIP } = fieldsOf(pod['status'])
  if (typeof podIP !== 'string' || podIP === '')
    throw new StatusError(
      'ServiceUnavailable',
      `address not allowed: pod ${pod.metadata.name} has none`,
    )
  return { scheme, host: `${podIP}:${found}`, connect: () => streams.dial(pod, found) }
}

async function serviceTarget(
  service: UnknownObject,
  { scheme, name, port }: NameParts,
  { api, clock }: TargetDeps,
): Promise<ProxyTarget> {
  const ports = listOf(fieldsOf(service['spec'])['ports'])
  const chosen =
    port === '' && ports.length === 1
      ? ports[0]
      : ports.find((each) => each['name'] === port || String(each['port']) === port)
  if (!chosen)
    throw new StatusError(
      'ServiceUnavailable',
      `no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`,
    )
  const { namespace = '' } = service.metadata
  const endpoints = await readObject(api, 'endpoints', { namespace, name }).catch(
    (): UnknownObject => ({ metadata: { name }, subsets: [] }) as unknown as UnknownObject,
  )
  const wanted = chosen['name'] ?? ''
  const candidates = listOf(endpoints['subsets']).flatMap(({ addresses, ports: own }) => {
    const number = listOf(own).find((each) => (each['name'] ?? '') === wanted)?.['port']
    return listOf(addresses).flatMap(({ ip }) =>
      typeof ip === 'string' && typeof number === 'number' ? [{ host: ip, port: number }] : [],
    )
  })
  // Whoever answers first was last: each request begins at another one.
  const address = candidates[Math.floor(clock.now()) % Math.max(1, candidates.length)]
  if (!address)
    throw new StatusError(
      'ServiceUnavailable',
      `no endpoints available for service ${JSON.stringify(name)}`,
    )
  return { scheme, host: `${address.host}:${address.port}`, connect: () => dial(address, clock) }
}

function dial(
  address: { readonly host: string; readonly port: number },
  clock: Clock,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true })
    const cancel = clock.after(connectLimitMs, () => socket.destroy(new Error('i/o timeout')))
    socket.once('error', (error) => {
      cancel()
      reject(error)
    })
    socket.once('connect', () => {
      cancel()
      resolve(socket)
    })
  })
}

/**
 * Where to connect to for a URL of this cluster: the engine itself for Brokers and channels, ready pods for ordinary
 * Services and what these are other names for, the gateway for everything that Serving has. URLs of the world are dialled
 * as they are.
 */
import { controllerOf } from '../../../kube/api/meta.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { jobSinkHost } from '../../api/sinks/job-sink.ts'
import {
  brokerIngressHost,
  clusterDomain,
  label,
  requestReplyHost,
  transformLabel,
} from '../../api/names.ts'
import type { Destination } from '../../broker/feed.ts'
import { serverSecrets } from '../transport/server-secrets.ts'

export interface DialAddress {
  readonly host: string
  readonly port: number
}

export interface DialWorld {
  /** The gateway's listener for names of the cluster. */
  readonly gateway: DialAddress | undefined
  /** The engine's own ingress. */
  readonly engine: DialAddress | undefined
  /** Its listener for TLS. */
  readonly secure?: DialAddress | undefined
  /** Where JobSinks take events. */
  readonly jobSink?: DialAddress | undefined
}

/** A resolved sink as the engine is told of it, with where to connect to; undefined = there is no URL. */
export type ToDestination = (
  url: string | undefined,
  caCerts?: string,
  audience?: string,
  /** `namespace/name` of the ServiceAccount that sends. */
  account?: string,
) => Destination | undefined

/** Undefined = as the URL says. */
export function dialOf(
  url: string,
  read: Pick<Reader, 'get'>,
  world: DialWorld,
): readonly DialAddress[] | undefined {
  const parsed = URL.parse(url)
  if (!parsed) return undefined
  const isSecure = parsed.protocol === 'https:'
  const port = Number(parsed.port) || (isSecure ? 443 : 80)
  // This machine, also where its resolver does not know (RFC 6761): what `ebb up` calls Services by default.
  if (parsed.hostname.endsWith('.localhost')) return [{ host: '127.0.0.1', port }]
  return dialHost(parsed.hostname, { port, isSecure, aliases: 0 }, read, world)
}

interface Way {
  readonly port: number
  readonly isSecure: boolean
  /** That led here. */
  readonly aliases: number
}

/** Services of type ExternalName that lead to one another; more of them are a circle. */
const maxAliases = 8

function dialHost(
  asked: string,
  way: Way,
  read: Pick<Reader, 'get'>,
  world: DialWorld,
): readonly DialAddress[] | undefined {
  const [, name = '', namespace = '', full] = clusterName.exec(asked) ?? []
  if (name === '') return undefined
  const { gateway, engine, secure, jobSink } = world
  const whole = `${name}.${namespace}.svc.${clusterDomain}`
  const isServed = Object.values(serverSecrets).some((each) => each.host === whole)
  if (isServed && way.isSecure) return secure ? [secure] : []
  if (whole === brokerIngressHost || whole === requestReplyHost) return engine ? [engine] : []
  if (whole === jobSinkHost) return jobSink ? [jobSink] : []
  const key = { namespace, name }
  const service = read.get(CoreService, key)
  // `a.b` may as well be a name of the world.
  if (!service && full === undefined) return undefined
  const { labels } = service?.metadata ?? {}
  if (labels?.[label.role] === 'in-memory-channel' || labels?.[transformLabel] === 'true')
    return engine ? [engine] : []
  const toGateway = gateway ? [gateway] : []
  if (!service) return toGateway
  const { type, externalName = '', selector } = service.spec
  const isOurs = controllerOf(service) !== undefined
  if (type === 'ExternalName') {
    if (isOurs || externalName === '' || way.aliases >= maxAliases) return toGateway
    const host = externalName.replace(/\.$/, '').toLowerCase()
    const next = { ...way, aliases: way.aliases + 1 }
    return dialHost(host, next, read, world) ?? [{ host, port: way.port }]
  }
  const endpoints = read.get(Endpoints, key)
  // Without a selector somebody writes the Endpoints himself.
  if (!selector && (isOurs || !endpoints)) return toGateway
  return addressesOf(service, endpoints, way.port)
}

/** `a.b.svc.cluster.local`, `a.b.svc` and, as the search domains of pods have it, `a.b`. */
const clusterName = /^([^.]+)\.([^.]+)(\.svc(?:\.cluster\.local)?)?$/

function addressesOf(
  { spec }: CoreService,
  endpoints: Endpoints | undefined,
  wanted: number,
): readonly DialAddress[] {
  const { ports = [] } = spec
  const [only] = ports
  const port = ports.find((each) => each.port === wanted) ?? (ports.length === 1 ? only : undefined)
  if (!port) return []
  return (endpoints?.subsets ?? []).flatMap(({ addresses = [], ports: open = [] }) => {
    const target = open.find(({ name }) => (name ?? '') === (port.name ?? '')) ?? open[0]
    return target ? addresses.map(({ ip }) => ({ host: ip, port: target.port })) : []
  })
}

/**
 * Where to connect to for a URL of this cluster: the engine itself for Brokers and channels, ready pods for ordinary
 * Services, the gateway for everything that Serving has. URLs of the world are dialled as they are.
 */
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { jobSinkHost } from '../../api/sinks/job-sink.ts'
import { brokerIngressHost, label, requestReplyHost, transformLabel } from '../../api/names.ts'
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
  { gateway, engine, secure, jobSink }: DialWorld,
): readonly DialAddress[] | undefined {
  const parsed = URL.parse(url)
  const match = /^([^.]+)\.([^.]+)\.svc(\.cluster\.local)?$/.exec(parsed?.hostname ?? '')
  if (!parsed || !match) return undefined
  const [, name = '', namespace = ''] = match
  const isServed = Object.values(serverSecrets).some(({ host }) => host === parsed.hostname)
  if (isServed && parsed.protocol === 'https:') return secure ? [secure] : []
  if (parsed.hostname === brokerIngressHost || parsed.hostname === requestReplyHost)
    return engine ? [engine] : []
  if (parsed.hostname === jobSinkHost) return jobSink ? [jobSink] : []
  const key = { namespace, name }
  const service = read.get(CoreService, key)
  const { labels } = service?.metadata ?? {}
  if (labels?.[label.role] === 'in-memory-channel' || labels?.[transformLabel] === 'true')
    return engine ? [engine] : []
  const isOrdinary = service && service.spec.type !== 'ExternalName' && service.spec.selector
  if (!isOrdinary) return gateway ? [gateway] : []
  const wanted = Number(parsed.port) || (parsed.protocol === 'https:' ? 443 : 80)
  const { ports = [] } = service.spec
  const [only] = ports
  const port = ports.find((each) => each.port === wanted) ?? (ports.length === 1 ? only : undefined)
  if (!port) return []
  return (read.get(Endpoints, key)?.subsets ?? []).flatMap(
    ({ addresses = [], ports: open = [] }) => {
      const target = open.find(({ name: each }) => (each ?? '') === (port.name ?? '')) ?? open[0]
      return target ? addresses.map(({ ip }) => ({ host: ip, port: target.port })) : []
    },
  )
}

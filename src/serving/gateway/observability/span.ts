/**
 * What a request leaves in a trace: a server span, the wait for a slot and the call of the pod, under the names that
 * Knative's activator and queue-proxy use, attributes by OpenTelemetry's HTTP conventions.
 */
import type { Span, SpanResource } from '../../../lib/otlp/span.ts'
import { newSpanId, type TraceContext } from './trace-context.ts'

/** The pod whose spans they are. */
export interface TracedPod {
  readonly namespace: string
  readonly service: string
  readonly configuration: string
  readonly revision: string
  readonly pod: string
}

/** As a resource of OpenTelemetry. */
export function resourceOf({
  namespace,
  service,
  configuration,
  revision,
  pod,
}: TracedPod): SpanResource {
  const attributes = Object.fromEntries(
    Object.entries({
      'service.name': service || revision,
      'service.version': revision,
      'service.instance.id': pod,
      'k8s.namespace.name': namespace,
      'k8s.pod.name': pod,
      'k8s.container.name': 'queue-proxy',
      'kn.service.name': service,
      'kn.configuration.name': configuration,
      'kn.revision.name': revision,
    }).filter(([, value]) => value !== ''),
  )
  return { scope: 'ebb/gateway', attributes }
}

/** What is known of a traced request when it is over. Times are Unix milliseconds. */
export interface TracedRequest {
  readonly trace: TraceContext
  /** The id that the pod got as its parent. */
  readonly proxySpanId: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly host: string
  readonly scheme: 'http' | 'https'
  readonly version: string
  readonly userAgent: string
  readonly clientAddress: string
  readonly status: number
  /** It found no ready pod. */
  readonly cold: boolean
  readonly arrivedMs: number
  /** It got its slot; undefined when it never did. */
  readonly grantedMs: number | undefined
  readonly endedMs: number
  readonly podAddress: string
  readonly podPort: number
}

export function spansOf(request: TracedRequest): readonly Span[] {
  const { trace, status, arrivedMs, grantedMs, endedMs } = request
  const { traceId } = trace
  const serverId = newSpanId()
  const failed = status >= 500 ? { error: `${status}` } : {}
  const server: Span = {
    traceId,
    spanId: serverId,
    parentId: trace.parentId,
    name: request.method,
    kind: 'server',
    startMs: arrivedMs,
    endMs: endedMs,
    attributes: {
      'http.request.method': request.method,
      'http.response.status_code': status,
      'url.path': request.path,
      ...(request.query && { 'url.query': request.query }),
      'url.scheme': request.scheme,
      'server.address': request.host,
      'client.address': request.clientAddress,
      'network.protocol.version': request.version,
      ...(request.userAgent && { 'user_agent.original': request.userAgent }),
    },
    ...failed,
  }
  const waited: Span = {
    traceId,
    spanId: newSpanId(),
    parentId: serverId,
    // Knative's activator holds what has no pod, its queue-proxy what has no slot.
    name: request.cold ? 'throttler_try' : 'kn.queueproxy.wait',
    kind: 'internal',
    startMs: arrivedMs,
    endMs: grantedMs ?? endedMs,
    attributes: {},
  }
  if (grantedMs === undefined) return [server, waited]
  const proxied: Span = {
    traceId,
    spanId: request.proxySpanId,
    parentId: serverId,
    name: request.cold ? 'activator_proxy' : 'kn.queueproxy.proxy',
    kind: 'client',
    startMs: grantedMs,
    endMs: endedMs,
    attributes: {
      'http.request.method': request.method,
      'http.response.status_code': status,
      'server.address': request.podAddress,
      'server.port': request.podPort,
    },
    ...failed,
  }
  return [server, waited, proxied]
}

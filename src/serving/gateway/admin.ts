/** The admin listener: metrics as Prometheus text, and whether the gateway lives. */
import type { RequestHead } from '../../lib/http1/head.ts'
import type { GatewayGauges, RevisionSnapshot } from './observability/metrics.ts'
import { metricsText } from './observability/metrics-text.ts'
import type { Answer } from './exchange/outgoing-head.ts'

export interface GatewayView {
  readonly gateway: GatewayGauges
  readonly revisions: Iterable<RevisionSnapshot>
}

export function adminAnswer(
  head: Pick<RequestHead, 'method' | 'target'>,
  view: () => GatewayView,
): Answer {
  if (head.method !== 'GET' && head.method !== 'HEAD')
    return { status: 405, body: 'only GET here\n' }
  const path = head.target.split('?')[0]
  if (path === '/healthz' || path === '/readyz') return { status: 200, body: 'ok\n' }
  if (path === '/metrics') {
    const { gateway, revisions } = view()
    return { status: 200, body: metricsText(gateway, revisions) }
  }
  return { status: 404, body: '404: there are /metrics and /healthz here\n' }
}

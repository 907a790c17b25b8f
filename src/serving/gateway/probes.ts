/**
 * Requests that ask the data plane itself: Knative's network probes and the kubelet's.
 * They are answered here and never reach an app, are not counted, and wake nothing.
 */
import { Field } from '../../lib/http1/fields.ts'
import type { RequestHead } from '../../lib/http1/head.ts'
import type { Answer } from './exchange/outgoing-head.ts'
import { fieldValue } from './routing/route-table.ts'

/** What a probe can find out. */
export interface ProbeView {
  /** Hash of the route that the request's host has; undefined = unknown host. */
  readonly hash: string | undefined
  /** The revision it would go to has a pod; undefined = it goes nowhere. */
  readonly ready: boolean | undefined
  readonly stopping: boolean
}

/** True when the request may be a probe: cheap enough to be asked for every request. */
export function looksLikeProbe(head: RequestHead): boolean {
  const { ids, values } = head
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    if (id === Field.kNetworkProbe || id === Field.kKubeletProbe) return true
    if (id === Field.userAgent && values[i]!.startsWith('kube-probe/')) return true
  }
  return false
}

export function probeAnswer(head: RequestHead, view: ProbeView): Answer {
  const probe = fieldValue(head, Field.kNetworkProbe)
  if (probe === undefined)
    return view.stopping ? { status: 503, body: 'shutting down' } : { status: 200, body: '' }
  if (probe === 'probe') {
    if (view.hash === undefined && view.ready === undefined) return { status: 404, body: '' }
    const asked = fieldValue(head, Field.kNetworkHash)
    if (!asked)
      return {
        status: 400,
        body: 'a probe request must contain a non-empty "K-Network-Hash" header',
      }
    if (view.stopping) return { status: 503, body: 'shutting down' }
    const hash = asked === 'override' && view.hash !== undefined ? view.hash : asked
    return { status: 200, body: '', lines: `K-Network-Hash: ${hash}\r\n` }
  }
  if (probe === 'activator') return { status: 200, body: 'activator' }
  if (probe === 'queue' && view.ready === true)
    return view.stopping ? { status: 503, body: 'shutting down' } : { status: 200, body: 'queue' }
  return { status: 400, body: `unexpected probe header value: "${probe}"` }
}

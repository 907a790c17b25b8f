/** How a Configuration or Revision says which Routes lead to it. Pure. */
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Patch } from '../../../kube/controller/reconciler.ts'
import { rfc3339 } from '../../../lib/clock.ts'
import { annotation, label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'

/** The Routes that lead to the object. */
export const routesOf = ({ metadata }: KubeObject): readonly string[] =>
  (metadata.annotations?.[annotation.routes] ?? '').split(',').filter((name) => name !== '')

/** Notes that `route` leads to the object (or no longer does); undefined when that is what it says already. */
export function routePatch<T extends KubeObject>(
  kind: Kind<T>,
  object: T,
  route: string,
  leadsHere: boolean,
  nowMs: number,
): Patch | undefined {
  const before = routesOf(object)
  const names = new Set(before)
  if (leadsHere) names.add(route)
  else names.delete(route)
  const routes = [...names].sort().join(',')
  const annotations: Record<string, string | null> = {}
  const labels: Record<string, string> = {}
  if (routes !== (object.metadata.annotations?.[annotation.routes] ?? ''))
    annotations[annotation.routes] = routes || null
  if (kind.kind === Revision.kind) {
    const state = routes ? 'active' : 'reserve'
    if (object.metadata.labels?.[label.routingState] !== state) {
      labels[label.routingState] = state
      annotations[annotation.routingStateModified] = rfc3339(nowMs)
    }
  }
  const metadata = {
    ...(Object.keys(annotations).length > 0 && { annotations }),
    ...(Object.keys(labels).length > 0 && { labels }),
  }
  if (Object.keys(metadata).length === 0) return undefined
  return { kind, key: keyOf(object), body: { metadata } }
}

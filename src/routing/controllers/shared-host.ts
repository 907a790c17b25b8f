/**
 * One host with all who want it: merged rules of HTTPRoutes and VirtualServices, and what remains of a KIngress that
 * has the host too. Whoever made the KIngress (a Service, a DomainMapping) keeps its host: routes of other namespaces
 * are refused there. Routes of its own namespace come first, and what they do not take goes where it went before.
 */
import type { Ingress } from '../../serving/api/ingress.ts'
import { label } from '../../serving/api/names.ts'
import type { Rule } from '../../serving/gateway/feed.ts'
import { sourceText, type HostRules, type Visibility } from '../rules/host-rules.ts'
import { describeMatch } from '../rules/match.ts'
import { mergeHost } from '../rules/merge.ts'

/** A KIngress that names the host, with its rules for it. */
export interface HostOwner {
  readonly ingress: Ingress
  readonly rules: readonly Rule[]
}

export interface SharedHost {
  readonly rules: readonly Rule[]
  /** Why an object is left out on this host, by `sourceText`. */
  readonly refusals: ReadonlyMap<string, string>
  /** Namespaces whose KIngresses do not route this host themselves any more. */
  readonly takenFrom: ReadonlySet<string>
}

export function shareHost(
  host: string,
  wanting: readonly HostRules[],
  owners: readonly HostOwner[],
): SharedHost {
  const refusals = new Map<string, string>()
  const takenFrom = new Set<string>()
  const allowed = wanting.filter((rules) => {
    const { namespace } = rules.source
    if (owners.length === 0) return true
    const own = owners.some(({ ingress }) => ingress.metadata.namespace === namespace)
    if (own) takenFrom.add(namespace)
    else if (owners[0]) refusals.set(sourceText(rules.source), ownedText(host, owners[0].ingress))
    return own
  })
  const rules = (['ExternalIP', 'ClusterLocal'] as const).flatMap((visibility) => {
    const those = allowed.filter(({ hosts }) => isServed(hosts, host, visibility))
    if (those.length === 0) return []
    const { paths, refused } = mergeHost(those)
    for (const [{ source }, { first, entry }] of refused)
      refusals.set(
        sourceText(source),
        `host ${host}, ${describeMatch(entry.path)}: ${sourceText(first)} has it already`,
      )
    return [{ hosts: [host], visibility, ordered: true, paths }]
  })
  const left = owners.flatMap(({ ingress, rules }) =>
    takenFrom.has(ingress.metadata.namespace ?? '') ? rules : [],
  )
  return { rules: [...rules, ...left], refusals, takenFrom }
}

const isServed = (hosts: HostRules['hosts'], host: string, visibility: Visibility): boolean =>
  hosts.some((one) => one.host === host && one.visibility === visibility)

/** Who a KIngress was made for: `Service default/shop`. */
export function ownerText({ metadata }: Ingress): string {
  const { namespace = '', name, labels = {} } = metadata
  if (labels[label.service]) return `Service ${namespace}/${labels[label.service]}`
  if (labels[label.route]) return `Route ${namespace}/${labels[label.route]}`
  if (labels[label.domainMappingUID]) return `DomainMapping ${namespace}/${name}`
  return `Ingress ${namespace}/${name}`
}

export const ownedText = (host: string, ingress: Ingress): string =>
  `host ${host} belongs to ${ownerText(ingress)}: only routes of namespace ${ingress.metadata.namespace ?? ''} may use it`

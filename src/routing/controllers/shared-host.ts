/**
 * One host with all who want it: merged rules of HTTPRoutes and VirtualServices, and what remains of a KIngress that
 * has the host too. Whoever made the KIngress (a Service, a DomainMapping) keeps its host: routes of other namespaces
 * are refused there. Routes of its own namespace come first, and what they do not take goes where it went before.
 */
import type { Ingress } from '../../serving/api/ingress.ts'
import { ownerText } from '../../serving/controllers/ingress/host-owner.ts'
import type { Rule } from '../../serving/gateway/feed.ts'
import { sourceText, type HostRules, type Visibility } from '../rules/host-rules.ts'
import { describeMatch, matchText } from '../rules/match.ts'
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

/** `owners`: the oldest first; the host is its. */
export function shareHost(
  host: string,
  wanting: readonly HostRules[],
  owners: readonly HostOwner[],
): SharedHost {
  const refusals = new Map<string, string>()
  const takenFrom = new Set<string>()
  const [owner] = owners
  const allowed = wanting.filter((rules) => {
    const { namespace } = rules.source
    if (!owner) return true
    const { ingress } = owner
    const own = ingress.metadata.namespace === namespace
    if (own) takenFrom.add(namespace)
    else refusals.set(sourceText(rules.source), ownedText(host, ingress))
    return own
  })
  const mergedFor = (visibility: Visibility): readonly Rule[] => {
    const those = allowed.flatMap((one) => servedBy(one, host, visibility) ?? [])
    if (those.length === 0) return []
    const { paths, refused } = mergeHost(those)
    for (const [{ source }, { first, entry }] of refused)
      refusals.set(
        sourceText(source),
        `host ${host}, ${describeMatch(entry.path)}: ${sourceText(first)} has it already`,
      )
    return [{ hosts: [host], visibility, ordered: true, paths }]
  }
  const left = owners.flatMap(({ ingress, rules }) =>
    takenFrom.has(ingress.metadata.namespace ?? '') ? rules : [],
  )
  const of = (visibility: Visibility): readonly Rule[] => [
    ...mergedFor(visibility),
    ...left.filter((rule) => rule.visibility === visibility),
  ]
  const [outside, inside] = [of('ExternalIP'), of('ClusterLocal')]
  return { rules: [...outside, ...withPublic(inside, outside)], refusals, takenFrom }
}

/** Callers inside get what is for them, and for the rest what everybody gets. */
function withPublic(inside: readonly Rule[], outside: readonly Rule[]): readonly Rule[] {
  if (inside.length === 0) return []
  const known = new Set(inside.flatMap(({ paths }) => paths.map(matchText)))
  const more = outside.flatMap((rule): readonly Rule[] => {
    const paths = rule.paths.filter((path) => !known.has(matchText(path)))
    return paths.length > 0 ? [{ ...rule, visibility: 'ClusterLocal', paths }] : []
  })
  return [...inside, ...more]
}

/** What an object says about a host, for one audience; undefined = nothing. */
function servedBy(rules: HostRules, host: string, visibility: Visibility): HostRules | undefined {
  const served = rules.hosts.filter((one) => one.host === host && one.visibility === visibility)
  const [first] = served
  if (!first) return undefined
  const { scheme } = first
  if (!scheme || served.some((one) => one.scheme !== scheme)) return rules
  const entries = rules.entries.map(({ at, path }) => ({ at, path: { scheme, ...path } }))
  return { ...rules, entries }
}

export const ownedText = (host: string, ingress: Ingress): string =>
  `host ${host} belongs to ${ownerText(ingress)}: only routes of namespace ${ingress.metadata.namespace ?? ''} may use it`

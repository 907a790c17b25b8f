/**
 * Whether a sender whose token was believed may send these events here (knative eventing `auth.Verifier`): the first
 * policy, by name, with the sender among its subjects decides alone; without any policy the default mode does. Pure.
 */
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { Gate } from '../feed.ts'
import { compileFilter, type Filter } from '../delivery/filters.ts'

/** Why not, for people; undefined = he may. */
export type Decide = (subject: string, events: readonly CloudEvent[]) => string | undefined

/** With the filters of its policies compiled once. */
export function decisionOf({ mode, namespace, policies }: Gate): Decide {
  const rules = policies.map(({ name, subjects, filters }) => ({
    name,
    matches: subjects.map(subjectMatcher),
    filter: filters && filters.length > 0 ? compiled(filters) : undefined,
  }))
  return (subject, events) => {
    if (rules.length === 0) return byMode(mode, namespace, subject)
    const rule = rules.find(({ matches }) => matches.some((match) => match(subject)))
    if (!rule)
      return `no EventPolicy lets ${subject} in; there are ${rules.map(({ name }) => name).join(', ')}`
    if (rule.filter && events.length === 0)
      return `EventPolicy ${rule.name} has filters, and this is no event that could be held against them`
    for (const event of events) {
      const refusal = rule.filter?.(event)
      if (!refusal) continue
      const found = refusal.found === undefined ? 'nothing' : JSON.stringify(refusal.found)
      return `EventPolicy ${rule.name}: ${refusal.term}: expected ${refusal.wanted}, found ${found}`
    }
    return undefined
  }
}

/** A filter that can not be read lets nothing through. */
function compiled(filters: NonNullable<Gate['policies'][number]['filters']>): Filter {
  try {
    return compileFilter({ filters })
  } catch (error) {
    const wanted = error instanceof Error ? error.message : 'unknown'
    return () => ({ term: 'filters', wanted })
  }
}

/** Equal in any case, or what comes before the star as it is written. */
function subjectMatcher(wanted: string): (subject: string) => boolean {
  if (wanted.endsWith('*')) {
    const prefix = wanted.slice(0, -1)
    return (subject) => subject.startsWith(prefix)
  }
  const lower = wanted.toLowerCase()
  return (subject) => subject.toLowerCase() === lower
}

function byMode(mode: Gate['mode'], namespace: string, subject: string): string | undefined {
  switch (mode) {
    case 'allow-all':
      return undefined
    case 'deny-all':
      return 'no EventPolicy applies, and default-authorization-mode is deny-all'
    case 'allow-same-namespace':
      return subject.startsWith(`system:serviceaccount:${namespace}:`)
        ? undefined
        : `no EventPolicy applies, and default-authorization-mode is allow-same-namespace: ${subject} is no ServiceAccount of ${namespace}`
  }
}

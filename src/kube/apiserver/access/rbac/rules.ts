/**
 * Rules of roles against one request, and against other rules. Every request asks here: rules are
 * made into sets once, and matching only looks up.
 */
import type { PolicyRule } from '../../../api/policy-rule.ts'
import type { Attributes } from '../authorization.ts'

/** A rule made ready for matching. */
export interface ReadyRule {
  readonly rule: PolicyRule
  readonly verbs: Words
  readonly groups: Words
  readonly resources: Words
  /** Undefined = all names. */
  readonly names: ReadonlySet<string> | undefined
  readonly exactPaths: ReadonlySet<string>
  readonly pathPrefixes: readonly string[]
}

/** Undefined = every word. */
type Words = ReadonlySet<string> | undefined

const words = (list: readonly string[] = []): Words =>
  list.includes('*') ? undefined : new Set(list)

export function readyRule(rule: PolicyRule): ReadyRule {
  const { resourceNames = [], nonResourceURLs = [] } = rule
  return {
    rule,
    verbs: words(rule.verbs),
    groups: words(rule.apiGroups),
    resources: words(rule.resources),
    names: resourceNames.length > 0 ? new Set(resourceNames) : undefined,
    exactPaths: new Set(nonResourceURLs),
    pathPrefixes: nonResourceURLs
      .filter((path) => path.endsWith('*'))
      .map((path) => path.slice(0, -1)),
  }
}

const has = (known: Words, word: string): boolean => known === undefined || known.has(word)

/** True when the rule allows the request. */
export function allows(ready: ReadyRule, attributes: Attributes): boolean {
  if (!has(ready.verbs, attributes.verb)) return false
  if ('path' in attributes) {
    const { path } = attributes
    if (ready.exactPaths.has(path)) return true
    return ready.pathPrefixes.some((prefix) => path.startsWith(prefix))
  }
  const { group, resource, subresource, name } = attributes
  if (!has(ready.groups, group)) return false
  if (ready.names !== undefined && !ready.names.has(name)) return false
  const { resources } = ready
  if (resources === undefined) return true
  if (subresource === '') return resources.has(resource)
  return resources.has(`${resource}/${subresource}`) || resources.has(`*/${subresource}`)
}

/** What of `wanted` nobody of `held` allows: one right each, then gathered by resource, as Kubernetes tells it. */
export function missingRights(
  held: readonly PolicyRule[],
  wanted: readonly PolicyRule[],
): readonly PolicyRule[] {
  const missing: PolicyRule[] = []
  for (const right of wanted.flatMap(singleRights))
    if (!held.some((rule) => covers(rule, right))) missing.push(right)
  return gathered(missing)
}

/** Rights of hostile roles are many; nobody reads a refusal of more than that. */
const maxRights = 20_000

/** A rule as rules of one verb and one resource (and name) or path each. */
function singleRights(rule: PolicyRule): readonly PolicyRule[] {
  const rights: PolicyRule[] = []
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [] } = rule
  const names = resourceNames.length > 0 ? resourceNames.map((name) => [name]) : [undefined]
  for (const group of apiGroups)
    for (const resource of resources)
      for (const verb of verbs)
        for (const name of names) {
          if (rights.length >= maxRights) return rights
          rights.push({
            apiGroups: [group],
            resources: [resource],
            verbs: [verb],
            ...(name && { resourceNames: name }),
          })
        }
  for (const path of rule.nonResourceURLs ?? [])
    for (const verb of verbs) rights.push({ nonResourceURLs: [path], verbs: [verb] })
  return rights
}

function covers(held: PolicyRule, right: PolicyRule): boolean {
  const all = (known: readonly string[] = [], asked: readonly string[] = []): boolean =>
    known.includes('*') || asked.every((each) => known.includes(each))
  if (!all(held.verbs, right.verbs)) return false
  if (right.nonResourceURLs)
    return right.nonResourceURLs.every((path) =>
      (held.nonResourceURLs ?? []).some(
        (known) => known === path || (known.endsWith('*') && path.startsWith(known.slice(0, -1))),
      ),
    )
  if (!all(held.apiGroups, right.apiGroups)) return false
  const names = held.resourceNames ?? []
  if (names.length > 0) {
    const asked = right.resourceNames ?? []
    if (asked.length === 0 || !asked.every((name) => names.includes(name))) return false
  }
  const resources = held.resources ?? []
  return (
    resources.includes('*') ||
    (right.resources ?? []).every((resource) => {
      const [, subresource] = resource.split('/', 2)
      return (
        resources.includes(resource) ||
        (subresource !== undefined && resources.includes(`*/${subresource}`))
      )
    })
  )
}

function gathered(rights: readonly PolicyRule[]): readonly PolicyRule[] {
  const answer = new Map<string, PolicyRule>()
  for (const right of rights) {
    const { verbs: _, ...rest } = right
    // Paths are told one by one.
    const key = JSON.stringify(right.nonResourceURLs ? right : rest)
    const known = answer.get(key)
    answer.set(
      key,
      known ? { ...known, verbs: [...(known.verbs ?? []), ...(right.verbs ?? [])] } : right,
    )
  }
  return [...answer.values()]
}

/** `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`: a rule in Kubernetes' refusals. */
export function ruleText(rule: PolicyRule): string {
  const parts: string[] = []
  const add = (name: string, list: readonly string[] = []): void => {
    if (list.length > 0) parts.push(`${name}:${quotedList(list)}`)
  }
  add('APIGroups', rule.apiGroups)
  add('Resources', rule.resources)
  add('NonResourceURLs', rule.nonResourceURLs)
  add('ResourceNames', rule.resourceNames)
  add('Verbs', rule.verbs)
  return `{${parts.join(', ')}}`
}

/** Go's way to print a list of texts: `["a" "b"]`. */
export const quotedList = (list: readonly string[]): string =>
  `[${list.map((each) => JSON.stringify(each)).join(' ')}]`

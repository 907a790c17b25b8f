/**
 * Which writes a webhook or a policy wants to hear of: rules over groups, versions, resources, operations and scope,
 * selectors over labels (apiserver `admission/plugin/webhook/predicates`).
 */
import { servedVersionsOf } from '../../../api/kind.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { selectorMatcher, type LabelMatcher, type LabelSelector } from '../../../api/selectors.ts'
import { isKind, readStored, type Target } from '../../machinery.ts'
import type { Operation } from '../extensions.ts'

export interface Rule {
  readonly apiGroups?: readonly string[]
  readonly apiVersions?: readonly string[]
  readonly operations?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly scope?: string
}

/** One write, as those who are asked see it. */
export interface Write {
  readonly target: Target
  readonly operation: Operation
  /** In the storage version; absent on DELETE. */
  readonly object: KubeObject | undefined
  readonly old: KubeObject | undefined
}

/** The version in which a rule wants the object; undefined when no rule matches. */
export function matchedVersion(
  rules: readonly Rule[],
  write: Write,
  matchPolicy: string | undefined,
): string | undefined {
  const { target } = write
  if (rules.some((rule) => matches(rule, write, target.version))) return target.version
  if (matchPolicy === 'Exact') return undefined
  return servedVersionsOf(target.kind).find((version) =>
    rules.some((rule) => matches(rule, write, version)),
  )
}

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes('*') || list.includes(value))

function matches(rule: Rule, { target, operation }: Write, version: string): boolean {
  const { kind, name } = target
  const { scope = '*', resourceNames = [] } = rule
  return (
    has(rule.operations, operation) &&
    has(rule.apiGroups, kind.group) &&
    has(rule.apiVersions, version) &&
    (scope === '*' || (scope === 'Namespaced') === kind.namespaced) &&
    (resourceNames.length === 0 || resourceNames.includes(name)) &&
    (rule.resources ?? []).some((resource) => isResource(resource, target))
  )
}

function isResource(wanted: string, { kind, subresource }: Target): boolean {
  const [resource = '', sub = ''] = wanted.split('/')
  if (resource !== '*' && resource !== kind.plural) return false
  return sub === '*' || sub === subresource
}

export interface Selectors {
  readonly namespaces: LabelMatcher | undefined
  readonly objects: LabelMatcher | undefined
}

/** Selectors of a configuration, absent where they select everything. */
export function selectorsOf({
  namespaceSelector,
  objectSelector,
}: {
  readonly namespaceSelector?: LabelSelector
  readonly objectSelector?: LabelSelector
}): Selectors {
  return { namespaces: matcherOf(namespaceSelector), objects: matcherOf(objectSelector) }
}

function matcherOf(selector: LabelSelector | undefined): LabelMatcher | undefined {
  if (!selector) return undefined
  const { matchLabels, matchExpressions } = selector
  const isEmpty =
    Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0
  return isEmpty ? undefined : selectorMatcher(selector)
}

export function isSelected({ namespaces, objects }: Selectors, write: Write): boolean {
  if (objects && ![write.object, write.old].some((each) => each && objects(each.metadata.labels)))
    return false
  if (!namespaces) return true
  const { kind } = write.target
  if (isKind(kind, '', 'Namespace')) return namespaces((write.object ?? write.old)?.metadata.labels)
  // What is in no namespace is always meant.
  return !kind.namespaced || namespaces(namespaceOf(write)?.metadata.labels)
}

const namespaces = { group: '', plural: 'namespaces' }

/** The Namespace that the object is in. */
export function namespaceOf({ target, object, old }: Write): KubeObject | undefined {
  const name = (object ?? old)?.metadata.namespace ?? target.namespace
  if (!name) return undefined
  return readStored(target.machinery, namespaces, { namespace: '', name })
}

/**
 * What nobody is asked about: the configurations themselves, so that a broken one can be taken away, and the platform's
 * own bookkeeping, which must go on while a webhook hangs (docs/guide/extensions.md).
 */
export function isExempt({ target }: Write): boolean {
  const { kind, request, subresource } = target
  if (kind.group === 'admissionregistration.k8s.io') return true
  if (request.durable) return false
  if (subresource !== '' || bookkeeping.has(kind.plural)) return true
  return ownNamespaces.has(target.namespace)
}

const bookkeeping = new Set([
  'nodes',
  'leases',
  'events',
  'endpoints',
  'endpointslices',
  'namespaces',
  'customresourcedefinitions',
  'images',
  'metrics',
])
const ownNamespaces = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'knative-serving'])

/**
 * Roles and bindings of the store, found by who asks: kept up to date by the store's changes, so that a decision looks
 * up a few sets and nothing else. Follows Kubernetes' RBAC resolver in what it finds.
 */
import type { UserInfo } from '../../../api/kind.ts'
import type { KubeObject } from '../../../api/meta.ts'
import type { Binding, PolicyRule, RoleRef, Subject } from '../../../api/policy-rule.ts'
import { selectorMatcher } from '../../../api/selectors.ts'
import type { ClusterRole } from '../../../api/cluster-role.ts'
import type { Change, Store } from '../../../store/store.ts'
import type { Attributes } from '../authorization.ts'
import { allows, readyRule, type ReadyRule } from './rules.ts'

const group = 'rbac.authorization.k8s.io'
const prefixes = {
  clusterRole: `clusterroles.${group}/`,
  clusterBinding: `clusterrolebindings.${group}/`,
  role: `roles.${group}/`,
  binding: `rolebindings.${group}/`,
} as const

/** A binding that made somebody's request good. */
export interface Grant {
  readonly binding: Binding
  readonly subject: Subject
}

interface Held extends Grant {
  /** '' for all namespaces. */
  readonly namespace: string
}

/** A role as stored, and its rules made ready when first asked for. */
interface Entry {
  readonly object: RoleLike
  rules?: readonly PolicyRule[]
  ready?: readonly ReadyRule[]
}

interface RoleLike extends KubeObject {
  readonly rules?: readonly PolicyRule[] | null
  readonly aggregationRule?: ClusterRole['aggregationRule']
}

export class RoleIndex implements Disposable {
  /** `<namespace>/<name>`; ClusterRoles have no namespace. */
  readonly #roles = new Map<string, Entry>()
  /** By namespace ('' for all) and subject. */
  readonly #held = new Map<string, Map<string, readonly Held[]>>()
  readonly #subscription: Disposable

  constructor(store: Store) {
    for (const prefix of Object.values(prefixes))
      for (const object of store.list(prefix).items) this.#put(prefix, object)
    this.#subscription = store.subscribe((change) => this.#follow(change))
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]()
  }

  /** The binding by which `user` may; else what could not be resolved on the way. */
  grant(user: UserInfo, attributes: Attributes, problems?: string[]): Grant | undefined {
    const namespace = 'path' in attributes ? '' : attributes.namespace
    for (const held of this.#heldBy(user, namespace)) {
      const entry = this.#entryOf(held.binding.roleRef, held.namespace)
      if (!entry) {
        problems?.push(missingText(held.binding.roleRef))
        continue
      }
      for (const ready of this.#ready(entry)) if (allows(ready, attributes)) return held
    }
    return undefined
  }

  /** All rules that `user` has in a namespace; '' = those that he has everywhere. */
  rulesOf(user: UserInfo, namespace: string): readonly PolicyRule[] {
    const rules: PolicyRule[] = []
    for (const held of this.#heldBy(user, namespace)) {
      const entry = this.#entryOf(held.binding.roleRef, held.namespace)
      if (entry) rules.push(...this.#rules(entry))
    }
    return rules
  }

  /** The rules of a role; undefined when there is no such role. */
  rulesOfRole(ref: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    const entry = this.#entryOf(ref, namespace)
    return entry && this.#rules(entry)
  }

  /** ClusterRoles that are made of others, with the rules that they should have. */
  aggregated(): readonly { readonly role: KubeObject; readonly rules: readonly PolicyRule[] }[] {
    return [...this.#roles.values()]
      .filter(({ object }) => object.aggregationRule)
      .map((entry) => ({ role: entry.object, rules: this.#rules(entry) }))
  }

  *#heldBy(user: UserInfo, namespace: string): Generator<Held> {
    for (const place of namespace === '' ? [''] : ['', namespace]) {
      const here = this.#held.get(place)
      if (!here) continue
      yield* here.get(`u:${user.username}`) ?? none
      for (const name of user.groups) yield* here.get(`g:${name}`) ?? none
    }
  }

  #entryOf({ kind, name }: RoleRef, namespace: string): Entry | undefined {
    return this.#roles.get(kind === 'ClusterRole' ? `/${name}` : `${namespace}/${name}`)
  }

  #ready(entry: Entry): readonly ReadyRule[] {
    return (entry.ready ??= this.#rules(entry).map(readyRule))
  }

  #rules(entry: Entry): readonly PolicyRule[] {
    return (entry.rules ??= entry.object.aggregationRule
      ? this.#union(entry, new Set())
      : (entry.object.rules ?? none))
  }

  /** The rules of all ClusterRoles that the selectors find, by name, each once. */
  #union(entry: Entry, above: Set<Entry>): readonly PolicyRule[] {
    above.add(entry)
    const selectors = entry.object.aggregationRule?.clusterRoleSelectors ?? []
    const matchers = selectors.map((selector) => selectorMatcher(selector))
    const rules = new Map<string, PolicyRule>()
    const found = [...this.#roles]
      .filter(
        ([key, each]) =>
          key.startsWith('/') &&
          !above.has(each) &&
          matchers.some((matches) => matches(each.object.metadata.labels)),
      )
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
    for (const [, each] of found) {
      const more = each.object.aggregationRule
        ? this.#union(each, new Set(above))
        : (each.object.rules ?? none)
      for (const rule of more) {
        const text = JSON.stringify(rule)
        if (!rules.has(text)) rules.set(text, rule)
      }
    }
    return [...rules.values()]
  }

  #follow({ type, key, object, previous }: Change): void {
    // Most changes are of other kinds: one look at the key is all they cost.
    if (!key.includes(group)) return
    const prefix = Object.values(prefixes).find((each) => key.startsWith(each))
    if (prefix === undefined) return
    if (type !== 'ADDED') this.#remove(prefix, previous ?? object)
    if (type !== 'DELETED') this.#put(prefix, object)
  }

  #put(prefix: string, object: KubeObject): void {
    if (prefix === prefixes.role || prefix === prefixes.clusterRole) {
      this.#roles.set(roleKey(object), { object })
      if (prefix === prefixes.clusterRole) this.#forgetUnions()
      return
    }
    for (const held of heldBy(object as Binding)) {
      const here = this.#held.get(held.namespace) ?? new Map<string, readonly Held[]>()
      this.#held.set(held.namespace, here)
      const key = subjectKey(held)
      here.set(key, [...(here.get(key) ?? none), held])
    }
  }

  #remove(prefix: string, object: KubeObject): void {
    if (prefix === prefixes.role || prefix === prefixes.clusterRole) {
      this.#roles.delete(roleKey(object))
      if (prefix === prefixes.clusterRole) this.#forgetUnions()
      return
    }
    for (const held of heldBy(object as Binding)) {
      const here = this.#held.get(held.namespace)
      const key = subjectKey(held)
      const left = here?.get(key)?.filter(({ binding }) => !isSame(binding, object)) ?? none
      if (left.length > 0) here?.set(key, left)
      else here?.delete(key)
      if (here?.size === 0) this.#held.delete(held.namespace)
    }
  }

  #forgetUnions(): void {
    for (const entry of this.#roles.values())
      if (entry.object.aggregationRule) {
        delete entry.rules
        delete entry.ready
      }
  }
}

const none: readonly never[] = []

const roleKey = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`

const isSame = (a: KubeObject, b: KubeObject): boolean =>
  a.metadata.name === b.metadata.name && a.metadata.namespace === b.metadata.namespace

function* heldBy(binding: Binding): Generator<Held> {
  const namespace = binding.metadata.namespace ?? ''
  for (const subject of binding.subjects ?? []) yield { binding, subject, namespace }
}

function subjectKey({ subject, namespace }: Held): string {
  switch (subject.kind) {
    case 'Group':
      return `g:${subject.name}`
    case 'ServiceAccount':
      return `u:system:serviceaccount:${subject.namespace || namespace}:${subject.name}`
    default:
      return `u:${subject.name}`
  }
}

const missingText = ({ kind, name }: RoleRef): string =>
  `${kind.toLowerCase()}.${group} ${JSON.stringify(name)} not found`

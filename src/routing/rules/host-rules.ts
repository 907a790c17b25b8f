/**
 * One route object (an HTTPRoute or a VirtualService) in the words of the gateway: its hosts and, in order, what becomes
 * of which requests. The two kinds meet here, so that both can stand on one host.
 */
import type { Path, Rule } from '../../serving/gateway/feed.ts'

export type Visibility = Rule['visibility']
export type Scheme = NonNullable<Path['scheme']>

/** The object that rules come from. */
export interface Source {
  readonly kind: 'HTTPRoute' | 'VirtualService'
  readonly namespace: string
  readonly name: string
  /** RFC 3339; the older one of two is right. */
  readonly creationTimestamp: string
}

export interface ServedHost {
  /** Lower case; `*.example.com` for all below, `*` for all. */
  readonly host: string
  readonly visibility: Visibility
  /** What clients speak to the gateway; absent: either. */
  readonly scheme?: Scheme
}

export interface Entry {
  /** Where in the object it is said: `spec.rules[0].matches[1]`. */
  readonly at: string
  readonly path: Path
}

export interface HostRules {
  readonly source: Source
  readonly hosts: readonly ServedHost[]
  readonly entries: readonly Entry[]
  /** True: the order of the entries is the author's (VirtualService); false: the more specific comes first. */
  readonly inOrder: boolean
}

/** `HTTPRoute default/shop`: how an object is named in messages and keys. */
export const sourceText = ({ kind, namespace, name }: Omit<Source, 'creationTimestamp'>): string =>
  `${kind} ${namespace}/${name}`

/** The older first, then by namespace and name, as the Gateway API settles conflicts. */
export const byAge = (a: Source, b: Source): number =>
  compare(a.creationTimestamp, b.creationTimestamp) ||
  compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`) ||
  compare(a.kind, b.kind)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Longest time that a rule may give: what its author means by "none". */
export const unlimitedMs = 24 * 3_600_000

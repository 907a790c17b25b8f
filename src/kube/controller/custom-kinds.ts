/**
 * Kinds of CustomResourceDefinitions, and Kubernetes' own, that a reconciler meets by name, in a reference of an object:
 * their caches start with the first that asks, and changes of their objects wake whoever looks at them. Kinds nobody refers
 * to cost nothing.
 */
import { CustomResourceDefinition, definedKind } from '../api/custom-resource-definition.ts'
import { coreKinds } from '../api/kinds.ts'
import { groupKind, isSameKind, type Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import type { Informers } from '../client/informer.ts'

export interface KindReference {
  readonly apiVersion?: string | undefined
  readonly kind?: string | undefined
  /** Instead of the one in `apiVersion`. */
  readonly group?: string | undefined
}

export interface CustomKinds extends Disposable {
  /** The kind in the version that is stored, whatever version is asked for; undefined = nobody defines it (yet). */
  find(reference: KindReference): Kind | undefined
  /** Undefined = what was found so far is all there is; else resolves when the caches that `find` began are filled. */
  pending(): Promise<void> | undefined
}

export interface CustomKindsOptions {
  readonly informers: Informers
  /** An object of a kind that was found has changed. */
  readonly changed: (object: KubeObject, previous: KubeObject | undefined) => void
  /** A kind that was asked for has come, or goes by another version now. */
  readonly defined: () => void
}

export const groupOf = (apiVersion = ''): string =>
  apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''

interface Followed {
  readonly kind: Kind
  readonly subscription: Disposable
}

export function followCustomKinds({
  informers,
  changed,
  defined,
}: CustomKindsOptions): CustomKinds {
  const stack = new DisposableStack()
  const followed = new Map<string, Followed>()
  /** Names that were asked for, whoever defines them. */
  const asked = new Set<string>()
  let following = false

  const forget = (name: string): void => {
    followed.get(name)?.subscription[Symbol.dispose]()
    followed.delete(name)
  }
  const follow = (name: string, kind: Kind): Kind => {
    const subscription = informers
      .for(kind)
      .subscribe((_type, object, previous) => changed(object, previous))
    followed.set(name, { kind, subscription })
    return kind
  }
  const begin = (): void => {
    following = true
    const subscription = informers
      .for(CustomResourceDefinition)
      .subscribe((type, { spec, ...rest }) => {
        const name = groupKind({ group: spec.group, kind: spec.names.kind })
        if (!asked.has(name)) return
        const kind = type === 'DELETED' ? undefined : definedKind({ spec, ...rest })
        const known = followed.get(name)?.kind
        if (known === kind || (known && kind && isSameKind(known, kind))) return
        forget(name)
        defined()
      })
    stack.use(subscription)
  }

  return {
    find({ apiVersion, kind = '', group = groupOf(apiVersion) }) {
      const name = groupKind({ group, kind })
      if (kind === '') return undefined
      const known = followed.get(name)
      if (known) return known.kind
      const builtin = coreKinds.find((each) => each.group === group && each.kind === kind)
      if (builtin) return follow(name, builtin)
      if (group === '') return undefined
      asked.add(name)
      if (!following) begin()
      for (const definition of informers.for(CustomResourceDefinition).values()) {
        const { spec } = definition
        if (spec.group !== group || spec.names.kind !== kind) continue
        const found = definedKind(definition)
        if (!found) continue
        return follow(name, found)
      }
      return undefined
    },
    pending() {
      if (following && !informers.for(CustomResourceDefinition).hasSynced)
        return informers.synced([CustomResourceDefinition])
      const unfilled = [...followed.values()]
        .map(({ kind }) => kind)
        .filter((kind) => !informers.for(kind).hasSynced)
      return unfilled.length === 0 ? undefined : informers.synced(unfilled)
    },
    [Symbol.dispose]() {
      for (const name of followed.keys()) forget(name)
      stack.dispose()
    },
  }
}

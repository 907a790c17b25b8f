/**
 * All kinds that there are objects of: those that the server has itself, and those of CustomResourceDefinitions as they
 * come and go. Garbage collection and the deletion of namespaces look at each of them.
 */
import { CustomResourceDefinition, definedKind } from '../api/custom-resource-definition.ts'
import { groupKind, isSameKind, type Kind } from '../api/kind.ts'
import type { Informers } from '../client/informer.ts'

export interface KindFollower {
  added(kind: Kind): void
  /** Its objects are gone, or are about to come again under another version. */
  removed(kind: Kind): void
}

export interface ServedKinds extends Disposable {
  /** All of this moment. */
  values(): readonly Kind[]
  find(group: string, kind: string): Kind | undefined
  /** Tells of every kind that comes or goes from now on. */
  follow(follower: KindFollower): Disposable
}

/** `kinds` are the server's own; custom ones are followed once the definitions' informer has its first list. */
export function servedKinds(kinds: readonly Kind[], informers: Informers): ServedKinds {
  const served = new Map(kinds.map((kind) => [groupKind(kind), kind]))
  /** By uid of the definition. */
  const custom = new Map<string, Kind>()
  const followers = new Set<KindFollower>()

  const remove = (uid: string): void => {
    const kind = custom.get(uid)
    if (!kind) return
    custom.delete(uid)
    served.delete(groupKind(kind))
    for (const follower of followers) follower.removed(kind)
    informers.forget(kind)
  }

  const put = (definition: CustomResourceDefinition): void => {
    const { uid = '' } = definition.metadata
    const kind = definedKind(definition)
    const known = custom.get(uid)
    if (known && kind && isSameKind(known, kind)) return
    remove(uid)
    // A kind that the server has itself is followed already.
    if (!kind || served.has(groupKind(kind))) return
    custom.set(uid, kind)
    served.set(groupKind(kind), kind)
    for (const follower of followers) follower.added(kind)
  }

  const followsCustom = served.has(groupKind(CustomResourceDefinition))
  const subscription = followsCustom
    ? informers.for(CustomResourceDefinition).subscribe((type, definition) => {
        if (type === 'DELETED') remove(definition.metadata.uid ?? '')
        else put(definition)
      })
    : undefined
  return {
    values: () => [...served.values()],
    find: (group, kind) => served.get(groupKind({ group, kind })),
    follow(follower) {
      followers.add(follower)
      return { [Symbol.dispose]: () => void followers.delete(follower) }
    },
    [Symbol.dispose]: () => subscription?.[Symbol.dispose](),
  }
}

/**
 * Who owns whom, over all kinds, by uid: what garbage collection looks at instead of searching. A change costs what the
 * changed object's own references cost.
 */
import type { Kind } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'

export interface GraphNode {
  readonly kind: Kind
  readonly object: KubeObject
}

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>()
  /** owner uid -> uids of the objects that refer to it, whether the owner is known or not */
  readonly #dependents = new Map<string, Set<string>>()

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid)
  }

  put(kind: Kind, object: KubeObject): void {
    const { uid } = object.metadata
    if (!uid) return
    const before = this.#nodes.get(uid)
    this.#nodes.set(uid, { kind, object })
    if (before?.object.metadata.ownerReferences === object.metadata.ownerReferences) return
    if (before) this.#unlink(uid, before.object)
    for (const ref of object.metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(ref.uid)
      if (dependents) dependents.add(uid)
      else this.#dependents.set(ref.uid, new Set([uid]))
    }
  }

  remove({ metadata: { uid } }: KubeObject): void {
    const before = uid && this.#nodes.get(uid)
    if (!uid || !before) return
    this.#nodes.delete(uid)
    this.#unlink(uid, before.object)
  }

  /** Objects with a reference to `uid`. */
  dependents(uid: string): readonly GraphNode[] {
    const found: GraphNode[] = []
    for (const each of this.#dependents.get(uid) ?? []) {
      const node = this.#nodes.get(each)
      if (node) found.push(node)
    }
    return found
  }

  #unlink(uid: string, object: KubeObject): void {
    for (const ref of object.metadata.ownerReferences ?? []) {
      const dependents = this.#dependents.get(ref.uid)
      dependents?.delete(uid)
      if (dependents?.size === 0) this.#dependents.delete(ref.uid)
    }
  }
}

/**
 * The cache inside an informer: objects of one kind under their keys, found by namespace, by controller uid and by
 * label in time proportional to what is found. Holds references only; a label is indexed from the first time someone
 * asks for it, so that unused labels cost nothing.
 */
import { controllerOf, type KubeObject, type ObjectKey, type StringMap } from '../api/meta.ts'

/** Labels that get an index; beyond that a query scans one namespace. Selectors are users' input, so it is bounded. */
const maxLabelIndexes = 64

export class Cache<T extends KubeObject> {
  readonly #namespaces = new Map<string, Map<string, T>>()
  readonly #owned = new Map<string, T[]>()
  /** label -> namespace -> value -> name -> object */
  readonly #labels = new Map<string, Map<string, Map<string, Map<string, T>>>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get({ namespace, name }: ObjectKey): T | undefined {
    return this.#namespaces.get(namespace)?.get(name)
  }

  *values(): IterableIterator<T> {
    for (const objects of this.#namespaces.values()) yield* objects.values()
  }

  put(object: T): void {
    const { namespace = '', name } = object.metadata
    let objects = this.#namespaces.get(namespace)
    if (!objects) this.#namespaces.set(namespace, (objects = new Map()))
    const previous = objects.get(name)
    objects.set(name, object)
    if (!previous) this.#size++
    this.#indexOwner(previous, object)
    if (previous) this.#unindexLabels(previous)
    if (this.#labels.size === 0) return
    for (const label in object.metadata.labels) this.#indexLabel(label, object)
  }

  remove({ namespace, name }: ObjectKey): void {
    const objects = this.#namespaces.get(namespace)
    const object = objects?.get(name)
    if (!objects || !object) return
    objects.delete(name)
    if (objects.size === 0) this.#namespaces.delete(namespace)
    this.#size--
    this.#indexOwner(object, undefined)
    this.#unindexLabels(object)
  }

  owned(owner: KubeObject): readonly T[] {
    const { uid } = owner.metadata
    return [...((uid && this.#owned.get(uid)) || [])]
  }

  list(namespace: string, labels?: StringMap): readonly T[] {
    const wanted = Object.entries(labels ?? {})
    if (wanted.length === 0) {
      return namespace ? [...(this.#namespaces.get(namespace)?.values() ?? [])] : [...this.values()]
    }
    const found: T[] = []
    for (const place of namespace ? [namespace] : this.#namespaces.keys()) {
      for (const object of this.#candidates(place, wanted)) {
        const has = object.metadata.labels
        if (has && wanted.every(([key, value]) => has[key] === value)) found.push(object)
      }
    }
    return found
  }

  /** The smallest set that holds all objects of a namespace with the wanted labels. */
  #candidates(namespace: string, wanted: readonly [string, string][]): Iterable<T> {
    let smallest = this.#namespaces.get(namespace)
    if (!smallest) return []
    for (const [label, value] of wanted) {
      const index = this.#labels.get(label) ?? this.#buildIndex(label)
      if (!index) continue
      const some = index.get(namespace)?.get(value)
      if (!some) return []
      if (some.size < smallest.size) smallest = some
    }
    return smallest.values()
  }

  #buildIndex(label: string) {
    if (this.#labels.size >= maxLabelIndexes) return undefined
    const index = new Map<string, Map<string, Map<string, T>>>()
    this.#labels.set(label, index)
    for (const object of this.values()) this.#indexLabel(label, object)
    return index
  }

  #indexLabel(label: string, object: T): void {
    const { namespace = '', name, labels } = object.metadata
    const value = labels?.[label]
    if (value === undefined) return
    const index = this.#labels.get(label)
    if (!index) return
    let values = index.get(namespace)
    if (!values) index.set(namespace, (values = new Map()))
    let objects = values.get(value)
    if (!objects) values.set(value, (objects = new Map()))
    objects.set(name, object)
  }

  #unindexLabels({ metadata: { namespace = '', name, labels } }: T): void {
    if (this.#labels.size === 0) return
    for (const label in labels) {
      const index = this.#labels.get(label)
      const value = labels[label]
      if (!index || value === undefined) continue
      const values = index.get(namespace)
      const objects = values?.get(value)
      objects?.delete(name)
      if (objects?.size === 0) values?.delete(value)
      if (values?.size === 0) index.delete(namespace)
    }
  }

  #indexOwner(previous: T | undefined, object: T | undefined): void {
    const from = previous && controllerOf(previous)?.uid
    const to = object && controllerOf(object)?.uid
    const objects = from && this.#owned.get(from)
    if (from && objects && previous) {
      const at = objects.indexOf(previous)
      if (at >= 0 && from === to && object) {
        objects[at] = object
        return
      }
      if (at >= 0) objects.splice(at, 1)
      if (objects.length === 0) this.#owned.delete(from)
    }
    if (to && object) {
      const others = this.#owned.get(to)
      if (others) others.push(object)
      else this.#owned.set(to, [object])
    }
  }
}

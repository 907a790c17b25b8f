/**
 * Which Services select a pod, without asking each of them: a Service is filed under one pair of its selector, so a pod
 * only meets Services that share a label with it. With 15,000 Services in a namespace the difference is felt.
 */
import type { KubeObject, ObjectKey } from '../../api/meta.ts'
import type { Service } from '../../api/service.ts'
import { selectorMatcher } from '../../api/selectors.ts'

interface Filed {
  readonly key: ObjectKey
  readonly selector: Readonly<Record<string, string>>
  readonly place: string
}

export class SelectorIndex {
  readonly #filed = new Map<string, Filed>()
  readonly #places = new Map<string, Set<string>>()

  put({ metadata: { namespace = '', name }, spec }: Service): void {
    this.remove({ namespace, name })
    const { selector } = spec
    const pairs = Object.entries(selector ?? {}).map(([label, value]) =>
      placeOf(namespace, label, value),
    )
    if (!selector || pairs.length === 0) return
    const size = (place: string) => this.#places.get(place)?.size ?? 0
    const place = pairs.reduce((least, other) => (size(other) < size(least) ? other : least))
    const id = `${namespace}/${name}`
    this.#filed.set(id, { key: { namespace, name }, selector, place })
    const others = this.#places.get(place)
    if (others) others.add(id)
    else this.#places.set(place, new Set([id]))
  }

  remove({ namespace, name }: ObjectKey): void {
    const id = `${namespace}/${name}`
    const filed = this.#filed.get(id)
    if (!filed) return
    this.#filed.delete(id)
    const others = this.#places.get(filed.place)
    others?.delete(id)
    if (others?.size === 0) this.#places.delete(filed.place)
  }

  /** Keys of the Services of the pod's namespace whose selector its labels meet. */
  *selecting({ metadata: { namespace = '', labels = {} } }: KubeObject): Iterable<ObjectKey> {
    for (const [label, value] of Object.entries(labels)) {
      for (const id of this.#places.get(placeOf(namespace, label, value)) ?? []) {
        const filed = this.#filed.get(id)
        if (filed && selectorMatcher({ matchLabels: filed.selector })(labels)) yield filed.key
      }
    }
  }
}

const placeOf = (namespace: string, label: string, value: string) =>
  `${namespace} ${label}=${value}`

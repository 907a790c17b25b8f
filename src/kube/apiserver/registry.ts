/** Which kinds are served, under which group, version and resource; and where their objects lie in the store. */
import { groupKind } from '../api/kind.ts'
import type { KindDefinition, ServedVersion } from '../api/kind.ts'
import type { ObjectKey } from '../api/meta.ts'
import { qualifiedResource } from '../api/status-error.ts'
import type { StoreKey } from '../store/store.ts'

/** A kind in one of its versions. `served` is absent for the storage version, which needs no conversion. */
export interface ServedKind {
  readonly kind: KindDefinition
  readonly version: string
  readonly served?: ServedVersion
}

/** `pods/` or `services.serving.knative.dev/`: where the objects of a kind lie, or those of one namespace. */
export const storePrefix = (
  kind: { readonly group: string; readonly plural: string },
  namespace?: string,
): StoreKey =>
  namespace === undefined
    ? `${qualifiedResource(kind)}/`
    : `${qualifiedResource(kind)}/${namespace}/`

export const storeKey = (
  kind: { readonly group: string; readonly plural: string },
  { namespace, name }: ObjectKey,
): StoreKey => `${qualifiedResource(kind)}/${namespace}/${name}`

export class Registry {
  readonly #resources = new Map<string, ServedKind>()
  readonly #kinds = new Map<string, KindDefinition>()
  readonly #groupVersions = new Set<string>()

  constructor(kinds: readonly KindDefinition[]) {
    for (const kind of kinds) this.add(kind)
  }

  get kinds(): readonly KindDefinition[] {
    return [...this.#kinds.values()]
  }

  /** Serves one more kind. Throws when another kind has its place. */
  add(kind: KindDefinition): void {
    const name = groupKind(kind)
    if (this.#kinds.has(name)) throw new Error(`kind ${name} is registered twice`)
    this.#kinds.set(name, kind)
    this.#serve({ kind, version: kind.version })
    for (const served of kind.versions ?? []) {
      if (served.version !== kind.version) this.#serve({ kind, version: served.version, served })
    }
  }

  #serve(entry: ServedKind): void {
    const { group, plural } = entry.kind
    this.#groupVersions.add(`${group}/${entry.version}`)
    this.#resources.set(`${group}/${entry.version}/${plural}`, entry)
  }

  find(group: string, version: string, resource: string): ServedKind | undefined {
    return this.#resources.get(`${group}/${version}/${resource}`)
  }

  byKind(group: string, kind: string): KindDefinition | undefined {
    return this.#kinds.get(groupKind({ group, kind }))
  }

  servesGroupVersion(group: string, version: string): boolean {
    return this.#groupVersions.has(`${group}/${version}`)
  }
}

/**
 * Which kinds are served, under which group, version and resource; and where their objects lie in the store. Kinds of
 * CustomResourceDefinitions come, change and go while the server runs.
 */
import { groupKind, servedVersionsOf } from '../api/kind.ts'
import type { KindDefinition, ServedVersion } from '../api/kind.ts'
import type { ObjectKey } from '../api/meta.ts'
import { qualifiedResource } from '../api/status-error.ts'
import type { StoreKey } from '../store/store.ts'

/** A kind in one of its versions. `served` is absent for the storage version, which needs no conversion. */
export interface ServedKind {
  readonly kind: KindDefinition
  readonly version: string
  readonly served?: ServedVersion
  /** Of a kind that may go: aborts when its definition is replaced or removed. */
  readonly ended?: AbortSignal
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
  /** Group version -> how many resources it has. */
  readonly #groupVersions = new Map<string, number>()
  /** Of the kinds that may go, by `groupKind`. */
  readonly #ends = new Map<string, AbortController>()
  #list: readonly KindDefinition[] | undefined

  constructor(kinds: readonly KindDefinition[]) {
    for (const kind of kinds) this.add(kind)
  }

  /** All kinds; the same array until one comes or goes. */
  get kinds(): readonly KindDefinition[] {
    return (this.#list ??= [...this.#kinds.values()])
  }

  /** Serves one more kind. Throws when another kind has its place. */
  add(kind: KindDefinition): void {
    const name = groupKind(kind)
    if (this.#kinds.has(name)) throw new Error(`kind ${name} is registered twice`)
    this.#kinds.set(name, kind)
    this.#list = undefined
    const end = kind.custom && new AbortController()
    if (end) this.#ends.set(name, end)
    for (const version of servedVersionsOf(kind)) {
      const served = kind.versions?.find((each) => each.version === version)
      const own = !kind.custom && version === kind.version
      this.#serve({
        kind: kind.custom?.inVersion(version) ?? kind,
        version,
        ...(served && !own && { served }),
        ...(end && { ended: end.signal }),
      })
    }
  }

  /** Stops serving a kind that `add` was given with `custom` rules; its watches end. */
  remove(kind: KindDefinition): void {
    const name = groupKind(kind)
    const known = this.#kinds.get(name)
    if (!known?.custom) return
    this.#kinds.delete(name)
    this.#list = undefined
    for (const version of servedVersionsOf(known)) {
      this.#resources.delete(`${known.group}/${version}/${known.plural}`)
      const groupVersion = `${known.group}/${version}`
      const left = (this.#groupVersions.get(groupVersion) ?? 0) - 1
      if (left > 0) this.#groupVersions.set(groupVersion, left)
      else this.#groupVersions.delete(groupVersion)
    }
    this.#ends.get(name)?.abort()
    this.#ends.delete(name)
  }

  #serve(entry: ServedKind): void {
    const { group, plural } = entry.kind
    const groupVersion = `${group}/${entry.version}`
    this.#groupVersions.set(groupVersion, (this.#groupVersions.get(groupVersion) ?? 0) + 1)
    this.#resources.set(`${groupVersion}/${plural}`, entry)
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

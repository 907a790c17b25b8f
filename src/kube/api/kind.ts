/**
 * What a kind is. One file a kind says everything about it (schema, defaults, validation, printer columns,
 * names, older versions); REST verbs, tables, discovery, OpenAPI and `kubectl explain` are derived from it.
 */
import type { KubeObject, ObjectKey } from './meta.ts'
import type { Schema } from './schema.ts'

/** The name of a kind in all its forms; enough for a client. `T` is the type of its objects. */
export interface Kind<T extends KubeObject = KubeObject> {
  /** '' for the core group. */
  readonly group: string
  /** The storage version. */
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  /** Never present: carries the static type. */
  readonly [TYPE]?: T
}

declare const TYPE: unique symbol

/** `serving.knative.dev/v1`, or `v1` for the core group. */
export const apiVersionOf = (kind: { group: string; version: string }): string =>
  kind.group ? `${kind.group}/${kind.version}` : kind.version

/** Group and kind as one string, `Route.serving.knative.dev`, `Pod`: the key of maps over kinds. */
export const groupKind = (kind: { group: string; kind: string }): string =>
  kind.group ? `${kind.kind}.${kind.group}` : kind.kind

/** Whether both are one kind in one version, under the same names. */
export const isSameKind = (a: Kind, b: Kind): boolean =>
  groupKind(a) === groupKind(b) &&
  a.version === b.version &&
  a.plural === b.plural &&
  a.namespaced === b.namespaced

/** The versions in which a kind is served, the storage version (where it is served) first. */
export const servedVersionsOf = (kind: {
  readonly version: string
  readonly versions?: readonly { readonly version: string }[]
  readonly custom?: CustomRules
}): readonly string[] =>
  kind.custom?.servedVersions ?? [
    kind.version,
    ...(kind.versions ?? []).map(({ version }) => version).filter((each) => each !== kind.version),
  ]

/** Who sends a request (authentication.k8s.io UserInfo). */
export interface UserInfo {
  readonly username: string
  readonly groups: readonly string[]
  readonly uid?: string
  /** What else is known of the caller, by qualified names (`authentication.kubernetes.io/pod-name`). */
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** What somebody wants to do with an object. */
export interface AccessQuestion {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace: string
  readonly name: string
}

/** What defaulting and validation may know besides the object. All reads are of this moment's store. */
export interface AdmissionContext<T extends KubeObject = KubeObject> {
  readonly operation: 'CREATE' | 'UPDATE'
  /** The stored object, on UPDATE. */
  readonly old?: T
  /** '' for the object itself, else `status`, `scale`… */
  readonly subresource: string
  readonly user: UserInfo
  readonly dryRun: boolean
  readonly nowMs: number
  /** Reads another stored object (a ConfigMap, a Namespace), synchronously. */
  read<U extends KubeObject>(kind: Kind<U>, key: ObjectKey): U | undefined
  /** Whether who asks may do something else too (a SubjectAccessReview of him): what an object refers to may be another's. */
  allows(asked: AccessQuestion): boolean
  /** All stored objects of a kind, in one namespace or in all (''). For rare checks, not for hot paths. */
  list<U extends KubeObject>(kind: Kind<U>, namespace: string): readonly U[]
  /** Adds a `Warning: 299` header to the response. */
  warn(text: string): void
}

/** A printer column (apiextensions `additionalPrinterColumns`, or a built-in kind's own printer). */
export interface Column<T extends KubeObject = KubeObject> {
  readonly name: string
  readonly type: 'string' | 'integer' | 'boolean' | 'date' | 'number'
  readonly description?: string
  readonly format?: string
  /** 0 = always; 1 = only with `-o wide`. */
  readonly priority?: number
  /** Where a reader of the kind's definition finds the cell, when a path can tell: `.status.address.url`. */
  readonly jsonPath?: string
  /** The cell; `undefined` prints `<none>`. A `date` column answers the RFC 3339 time, shown as an age. */
  value(object: T, nowMs: number): string | number | boolean | undefined
}

/** Another served version of a kind. Storage is always `Kind.version`. */
export interface ServedVersion {
  readonly version: string
  readonly schema: Schema
  /** Text of the `Warning` header, when the version is old. */
  readonly deprecationWarning?: string
  /** Where its columns are others than the kind's. */
  readonly columns?: readonly Column[]
  /** Request object in this version -> storage version. Throws StatusError when it can't be said in it. */
  toStorage(object: KubeObject, warn: (text: string) => void): KubeObject
  /** Stored object -> this version, for answers. */
  fromStorage(object: KubeObject): KubeObject
}

export interface OwnSubresource {
  readonly name: string
  readonly verbs: readonly string[]
}

/** `autoscaling/v1 Scale` of a kind, by accessors. */
export interface ScaleSubresource<T extends KubeObject> {
  replicas(object: T): number
  withReplicas(object: T, replicas: number): T
  statusReplicas(object: T): number
  /** Label selector in text form, `a=b,c=d`. */
  selector(object: T): string
}

/** What a CustomResourceDefinition says of its kind beyond what all kinds have. */
export interface CustomRules {
  /** Changes whenever the definition does. */
  readonly revision: string
  /** Perhaps without the storage version. */
  readonly servedVersions: readonly string[]
  /** The kind as one of its versions shows it: columns, subresources, selectable fields, validation. */
  inVersion(version: string): KindDefinition
  /**
   * A body in the version of this definition (`inVersion`), its type and metadata checked, as an object of the storage
   * version: pruned, with the schema's defaults. Its values are checked later, by `admit`.
   */
  read(object: KubeObject): KubeObject
  /** A stored object, perhaps of an earlier storage version, in the storage version of now. */
  upgrade(object: KubeObject): KubeObject
  /** How versions are made of one another; for the API server, which knows what it is. */
  readonly converter: object
}

/** The value of a selectable field. */
export type FieldReader<T extends KubeObject> = { read(object: T): string }['read']

/**
 * Everything about a kind. Its functions are declared as methods, so that a `KindDefinition<Pod>` can stand in
 * a list of `KindDefinition`: whoever calls them through such a list hands over objects of that very kind.
 */
export interface KindDefinition<T extends KubeObject = KubeObject> extends Kind<T> {
  readonly singular: string
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  /** Shown by `kubectl explain`. */
  readonly description: string
  /** Schema of the whole object, or of everything but apiVersion, kind and metadata, which are added. */
  readonly schema: Schema
  /**
   * `builtin` kinds take strategic merge patches and unconditional updates, their list items carry no
   * apiVersion/kind; `custom` kinds behave as a CustomResourceDefinition's (415 for strategic merge).
   */
  readonly flavour: 'builtin' | 'custom'
  readonly columns: readonly Column<T>[]
  /** True: `status` is a separate writer through `/status`. */
  readonly hasStatus: boolean
  /** False: `metadata.generation` is not kept (Pod, Service, ConfigMap, Secret, Node, Namespace, Event…). */
  readonly hasGeneration: boolean
  readonly scale?: ScaleSubresource<T>
  /** Further subresources, answered by others than the store: discovery lists them. */
  readonly subresources?: readonly OwnSubresource[]
  /** Field selectors beyond metadata.name and metadata.namespace. */
  readonly selectableFields?: Readonly<Record<string, FieldReader<T>>>
  readonly versions?: readonly ServedVersion[]
  /** Names of `metadata.name`: default `subdomain`. */
  readonly nameRule?: 'subdomain' | 'label' | 'dns1035' | 'path'
  /** True: nobody stores such objects, they can only be read, and not watched (metrics.k8s.io). */
  readonly readOnly?: boolean
  /** Built-in kinds that accept PUT on an absent object. */
  readonly createOnUpdate?: boolean
  /** False for built-in kinds that refuse PUT without resourceVersion (Lease). Default true for `builtin`. */
  readonly unconditionalUpdate?: boolean
  /**
   * Defaulting and validation, in this order, after schema defaulting and type checks. Answers the object to
   * store or throws a StatusError (`invalid(...)` for built-in kinds, Knative's own 400 for its kinds).
   */
  admit?(object: T, context: AdmissionContext<T>): T
  /** What the definition carries that describes the kind among CustomResourceDefinitions: tools look for labels. */
  readonly definition?: {
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  /** Of a kind that a CustomResourceDefinition makes: its versions differ in more than their schemas. */
  readonly custom?: CustomRules
  /** How a DELETE goes: Pods leave gracefully. Default: at once, when no finalizer is left. */
  gracefulDeletion?(object: T): { readonly gracePeriodSeconds: number } | undefined
}

/** What every API object has: type, metadata, and the reference types that point at objects. */

/** metav1.OwnerReference. Matching is by `uid`. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export type StringMap = Readonly<Record<string, string>>

/** metav1.ObjectMeta, as stored. Times are RFC 3339 in whole seconds. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly generateName?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  readonly labels?: StringMap
  readonly annotations?: StringMap
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
  readonly managedFields?: readonly unknown[]
}

/** Any API object. Stored objects are frozen, deeply: a change is a new object. */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
}

/** An object whose type is not known here; fields are read with care. */
export type UnknownObject = KubeObject & Readonly<Record<string, unknown>>

/** Name and namespace of an object; `namespace` is '' for cluster-scoped kinds. */
export interface ObjectKey {
  readonly namespace: string
  readonly name: string
}

export const keyOf = (object: KubeObject): ObjectKey => ({
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name,
})

/** `namespace/name`, or `name` alone for cluster-scoped objects: how keys are written in logs and messages. */
export const keyText = ({ namespace, name }: ObjectKey): string =>
  namespace ? `${namespace}/${name}` : name

/** The owner reference a controller puts on what it creates. */
export function controllerRef(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

/** The reference marked `controller: true`, if any. */
export const controllerOf = (object: KubeObject): OwnerReference | undefined =>
  object.metadata.ownerReferences?.find((ref) => ref.controller === true)

/** True when `owner` is the controller of `object`. */
export const isControlledBy = (object: KubeObject, owner: KubeObject): boolean =>
  controllerOf(object)?.uid === owner.metadata.uid && owner.metadata.uid !== undefined

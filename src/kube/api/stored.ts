/**
 * Kubernetes' own types as Ebb keeps them: the interfaces of the dev package `kubernetes-types`, made deeply
 * read-only (stored objects are frozen), with apiVersion, kind and metadata always there.
 */
import type { ObjectMeta } from './meta.ts'

/** `any` is how kubernetes-types ends up naming quantities (`100m`, `1Gi`); here they are strings. */
type IsAny<T> = 0 extends 1 & T ? true : false

/** `T`, read-only at every depth. */
export type DeepReadonly<T> =
  IsAny<T> extends true
    ? string
    : T extends readonly (infer U)[]
      ? readonly DeepReadonly<U>[]
      : T extends object
        ? { readonly [P in keyof T]: DeepReadonly<T[P]> }
        : T

/**
 * A type of kubernetes-types as a stored object. Keys named in `Always` are never absent once admitted
 * (`Stored<core.Pod, 'spec'>`).
 */
export type Stored<K, Always extends keyof K = never> = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
} & Fields<Omit<K, 'apiVersion' | 'kind' | 'metadata' | Always>> &
  Required<Fields<Pick<K, Always>>>

type Fields<T> = { readonly [P in keyof T]: DeepReadonly<T[P]> }

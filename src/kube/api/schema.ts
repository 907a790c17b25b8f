/**
 * Structural schemas (the OpenAPI v3 subset of CustomResourceDefinitions) and builders for them. A schema
 * written with the builders is also the static type (`Static<typeof X>`), so nothing is said twice:
 * validation, pruning, defaulting, OpenAPI and `kubectl explain` all read the same value.
 */
export interface Schema<T = unknown> {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly description?: string
  readonly format?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly default?: unknown
  readonly nullable?: boolean
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly pattern?: string
  /** `#/definitions/<name>` of a built-in type (`kube-types.json`). Resolved by `resolve` in builtin.ts. */
  readonly $ref?: string
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean
  readonly 'x-kubernetes-int-or-string'?: boolean
  /** An object with apiVersion, kind and metadata of its own. */
  readonly 'x-kubernetes-embedded-resource'?: boolean
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular'
  readonly 'x-kubernetes-patch-merge-key'?: string
  readonly 'x-kubernetes-patch-strategy'?: string
  /** Never present: carries the static type. */
  readonly [TYPE]?: T
}

declare const TYPE: unique symbol

/** The TypeScript type of the values that `S` describes. */
export type Static<S> = S extends Schema<infer T> ? T : never

type Options = Omit<Schema, typeof TYPE | 'type' | 'properties' | 'items'>
type Properties = Readonly<Record<string, Schema>>
type Object_<P extends Properties, R extends keyof P> = {
  readonly [K in Exclude<keyof P, R>]?: Static<P[K]>
} & { readonly [K in R]: Static<P[K]> }

/** An object with the given properties, optional unless named in `required`. */
export function object<P extends Properties, R extends keyof P & string = never>(
  properties: P,
  options: Omit<Options, 'required'> & { readonly required?: readonly R[] } = {},
): Schema<Object_<P, R>> {
  return { type: 'object', properties, ...options } as Schema<Object_<P, R>>
}

export const string = (options: Options = {}): Schema<string> => ({ type: 'string', ...options })
export const integer = (options: Options = {}): Schema<number> => ({ type: 'integer', ...options })
export const boolean = (options: Options = {}): Schema<boolean> => ({ type: 'boolean', ...options })

export const list = <S extends Schema>(
  items: S,
  options: Options = {},
): Schema<readonly Static<S>[]> => ({ type: 'array', items, ...options })

export const map = <S extends Schema>(
  values: S,
  options: Options = {},
): Schema<Readonly<Record<string, Static<S>>>> => ({
  type: 'object',
  additionalProperties: values,
  ...options,
})

/** A string or an integer, as ports and percentages are. */
export const intOrString = (options: Options = {}): Schema<number | string> => ({
  'x-kubernetes-int-or-string': true,
  ...options,
})

/** An object whose content is kept as it is, unvalidated. */
export const anything = <T = unknown>(options: Options = {}): Schema<T> => ({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  ...options,
})

/** A built-in type by its OpenAPI name (`io.k8s.api.core.v1.Container`), typed as the caller says. */
export const builtin = <T = unknown>(name: string, options: Options = {}): Schema<T> => ({
  $ref: `#/definitions/${name}`,
  ...options,
})

/** Reading objects of old versions: their shape is only what their schema says, so fields are looked at with care. */
import type { KubeObject } from '../kube/api/meta.ts'

export type Fields = Readonly<Record<string, unknown>>

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value as a map; an empty one when it is none. */
export const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {})

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** `object` without some fields. */
export const without = (object: Fields, ...names: readonly string[]): Fields =>
  Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))

/** spec and status of an object, whatever its kind. */
export const partsOf = (
  object: KubeObject,
): { readonly spec: Fields; readonly status?: Fields } => {
  const { spec, status } = object as KubeObject & { spec?: unknown; status?: unknown }
  return { spec: fieldsOf(spec), ...(isFields(status) && { status }) }
}

/** The object in another version. */
export const withParts = (
  object: KubeObject,
  apiVersion: string,
  spec: Fields,
  status: Fields | undefined,
): KubeObject => {
  const rest = without(object as unknown as Fields, 'spec', 'status')
  const parts = { spec, ...(status && { status }) }
  return {
    ...rest,
    apiVersion,
    kind: object.kind,
    metadata: object.metadata,
    ...parts,
  } as KubeObject
}

/**
 * True when the object comes from one that is stored: a patch of it. Then an old field the client wrote stands beside
 * the new one we answered with, and the old one is what is meant. In a new object both together are a mistake.
 */
export const isPatched = ({ metadata }: KubeObject): boolean => metadata.uid !== undefined

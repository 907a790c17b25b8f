/** An old version of a kind, said by how its spec and status read today and back. */
import { isPatched, partsOf, withParts, type Fields } from '../../../knative/old-form.ts'
import type { Column, ServedVersion } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Schema } from '../../../kube/api/schema.ts'
import { deprecation, oldAddress, todaysAddress } from './destination.ts'

export interface OldVersion {
  readonly group: string
  readonly version: string
  readonly kind: string
  /** The storage version; default v1. */
  readonly today?: string
  /** Of the whole object; default: anything goes, as the conversion looks at it. */
  readonly schema?: Schema
  /** Where they are others than the kind's. */
  readonly columns?: readonly Column[]
  /** Not old, only another. */
  readonly current?: boolean
  readonly toSpec?: (spec: Fields, patched: boolean, warn: (text: string) => void) => Fields
  readonly fromSpec?: (spec: Fields, object: KubeObject) => Fields
  readonly toStatus?: (status: Fields) => Fields
  readonly fromStatus?: (status: Fields) => Fields
  /** Of the object as converted by the above. */
  readonly toStorage?: (converted: KubeObject, sent: KubeObject) => KubeObject
  readonly fromStorage?: (converted: KubeObject, stored: KubeObject) => KubeObject
}

const anyParts = object({
  spec: object({}, { 'x-kubernetes-preserve-unknown-fields': true }),
  status: object({}, { 'x-kubernetes-preserve-unknown-fields': true }),
})

const same = <T>(value: T): T => value

export function oldVersion({
  group,
  version,
  kind,
  today = 'v1',
  schema = anyParts,
  columns,
  current = false,
  toSpec = same,
  fromSpec = same,
  toStatus = same,
  fromStatus = same,
  toStorage = same,
  fromStorage = same,
}: OldVersion): ServedVersion {
  return {
    version,
    schema,
    ...(columns && { columns }),
    ...(!current && { deprecationWarning: deprecation(group, version, kind, today) }),
    toStorage(sent, warn) {
      const { spec, status } = partsOf(sent)
      const converted = withParts(
        sent,
        `${group}/${today}`,
        toSpec(spec, isPatched(sent), warn),
        status && toStatus(todaysAddress(status)),
      )
      return toStorage(converted, sent)
    },
    fromStorage(stored) {
      const { spec, status } = partsOf(stored)
      const converted = withParts(
        stored,
        `${group}/${version}`,
        fromSpec(spec, stored),
        status && fromStatus(oldAddress(status)),
      )
      return fromStorage(converted, stored)
    },
  }
}

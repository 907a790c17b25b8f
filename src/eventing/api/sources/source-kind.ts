/** What definitions of source kinds share: group, categories, the annotation of who made them, older versions. */
import { readyColumns } from '../../../knative/columns.ts'
import type { AdmissionContext, Column, ServedVersion } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Schema } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { ageColumn } from '../duck/address-status.ts'
import { withUserInfo } from '../admission/metadata.ts'
import { sourcesGroup } from '../names.ts'
import { sinkColumn, type Source } from '../duck/source-spec.ts'

/** Spread into a source's definition. */
export const sourceKindFields = {
  group: sourcesGroup,
  categories: ['all', 'knative', 'eventing', 'sources'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
} as const

/** `Sink`, what is the kind's own, `Age`, `Ready`, `Reason`. */
export const sourceColumns = <T extends Source>(
  ...own: readonly Column<T>[]
): readonly Column<T>[] => [sinkColumn, ...own, ageColumn, ...readyColumns]

/** The annotation by which tools know what a source kind sends. */
export const registered = (...types: readonly string[]): Readonly<Record<string, string>> => ({
  'registry.knative.dev/eventTypes': JSON.stringify(types.map((type) => ({ type }))),
})

interface Specified extends KubeObject {
  readonly spec?: unknown
}

/** Defaults of a source: what `fill` adds, and who made it. */
export const sourceDefaults =
  <T extends Specified>(fill: (object: T) => T = (object) => object, group = sourcesGroup) =>
  (sent: T, context: AdmissionContext<T>): T => {
    const object = fill(sent)
    const { old } = context
    const changed = !old || !sameJson(object.spec, fill(old).spec)
    return withUserInfo(object, group, context, changed)
  }

/** Older versions of one shape. `modern` makes of an object in such a version what today's says. */
export const olderVersions = (
  group: string,
  current: string,
  versions: readonly string[],
  schema: Schema,
  modern: (object: KubeObject) => KubeObject = (object) => object,
): readonly ServedVersion[] =>
  versions.map((version) => ({
    version,
    schema,
    deprecationWarning: `${group}/${version} is deprecated; use ${group}/${current}`,
    toStorage: (object) => ({ ...modern(object), apiVersion: `${group}/${current}` }),
    fromStorage: (object) => ({ ...object, apiVersion: `${group}/${version}` }),
  }))

/**
 * The Table form of objects (meta.k8s.io/v1), which `kubectl get` asks for: the server computes each cell from the
 * kind's columns. The metadata in a row leaves the field managers out: nobody looks for them there,
 * and they would be most of the answer.
 */
import { ageColumn, nameColumn } from '../../api/columns.ts'
import type { Column, KindDefinition } from '../../api/kind.ts'
import type { KubeObject, ObjectMeta } from '../../api/meta.ts'
import { humanAge } from '../../api/printer.ts'
import { withEntries, withManagedFields } from '../apply/tracking.ts'

export type IncludeObject = 'Metadata' | 'Object' | 'None'

export interface TableOptions {
  readonly nowMs: number
  /** What each row carries besides its cells. Default `Metadata`. */
  readonly includeObject?: IncludeObject
  /** Of the list; for a single object or a watch event its resourceVersion is taken. */
  readonly listMetadata?: {
    readonly resourceVersion?: string
    readonly continue?: string
    readonly remainingItemCount?: number
  }
  /** The version of meta.k8s.io that was asked for; it is echoed. Default `v1`. */
  readonly version?: 'v1' | 'v1beta1'
  /** False for all but the first event of a watch. Default true. */
  readonly withColumns?: boolean
}

export interface TableColumn {
  readonly name: string
  readonly type: string
  readonly format: string
  readonly description: string
  readonly priority: number
}

export interface TableRow {
  /** Strings, numbers, booleans; null prints `<none>`. */
  readonly cells: readonly (string | number | boolean | null)[]
  readonly conditions?: readonly {
    readonly type: string
    readonly status: string
    readonly reason?: string
  }[]
  readonly object?: unknown
}

export interface Table {
  readonly kind: 'Table'
  readonly apiVersion: string
  readonly metadata: NonNullable<TableOptions['listMetadata']>
  readonly columnDefinitions: readonly TableColumn[] | null
  readonly rows: readonly TableRow[]
}

/** What metadata informers and table rows get of an object: its metadata alone. */
export interface PartialObjectMetadata {
  readonly kind: 'PartialObjectMetadata'
  readonly apiVersion: string
  readonly metadata: ObjectMeta
}

/** The object's metadata as a PartialObjectMetadata of meta.k8s.io. */
export const partialMetadata = (
  object: KubeObject,
  version: 'v1' | 'v1beta1' = 'v1',
): PartialObjectMetadata => ({
  kind: 'PartialObjectMetadata',
  apiVersion: `meta.k8s.io/${version}`,
  metadata: object.metadata,
})

/** Rows for objects of one kind, in the order given. */
export function toTable(
  kind: KindDefinition,
  objects: readonly KubeObject[],
  options: TableOptions,
): Table {
  const { nowMs, includeObject = 'Metadata', version = 'v1', withColumns = true } = options
  const columns: readonly Column[] = objects[0]?.kind === 'Scale' ? scaleColumns : columnsOf(kind)
  const first = objects[0]?.metadata.resourceVersion
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: options.listMetadata ?? (first === undefined ? {} : { resourceVersion: first }),
    columnDefinitions: withColumns ? columns.map(columnDefinition) : null,
    rows: objects.map((object) => {
      const phase = terminalPhase(kind, object)
      return {
        cells: columns.map((column) => cell(kind, column, object, nowMs)),
        ...(phase && { conditions: [{ type: 'Completed', status: 'True', reason: phase }] }),
        ...(includeObject !== 'None' && {
          object:
            includeObject === 'Object'
              ? withManagedFields(kind, object)
              : partialMetadata(withEntries(object, undefined), version),
        }),
      }
    }),
  }
}

const createdAtColumn: Column = {
  name: 'Created At',
  type: 'date',
  description: 'When the object was made.',
  value: (object) => object.metadata.creationTimestamp,
}

interface Scale extends KubeObject {
  readonly spec?: { readonly replicas?: number }
  readonly status?: { readonly replicas?: number }
}

/** Of the `scale` subresource, whatever kind it belongs to. */
const scaleColumns: readonly Column<Scale>[] = [
  nameColumn,
  {
    name: 'Desired',
    type: 'integer',
    description: 'How many pods there should be.',
    value: ({ spec }) => spec?.replicas ?? 0,
  },
  {
    name: 'Available',
    type: 'integer',
    description: 'How many pods there are.',
    value: ({ status }) => status?.replicas ?? 0,
  },
  ageColumn,
]

const versions = new WeakMap<object, KindDefinition>()

/** The kind with the columns of one of its versions. */
export function inVersion(kind: KindDefinition, version: string): KindDefinition {
  const served = kind.versions?.find((each) => each.version === version)
  if (!served?.columns) return kind
  let shown = versions.get(served)
  if (!shown) versions.set(served, (shown = { ...kind, columns: served.columns }))
  return shown
}

const cached = new WeakMap<KindDefinition, readonly Column[]>()

/** A kind's columns with the name in front; kinds without columns of their own get a default. */
function columnsOf(kind: KindDefinition): readonly Column[] {
  const known = cached.get(kind)
  if (known) return known
  const own = kind.columns
  const named = own[0]?.name === 'Name' || own.some(({ format }) => format === 'name')
  const fallback = kind.flavour === 'custom' ? ageColumn : createdAtColumn
  const columns = own.length === 0 ? [nameColumn, fallback] : named ? own : [nameColumn, ...own]
  cached.set(kind, columns)
  return columns
}

const columnDefinition = ({ name, type, format = '', description = '', priority = 0 }: Column) => ({
  name,
  type,
  format,
  description,
  priority,
})

/** Cells of a kind that is not ours to trust: whatever its reader does, the table still comes. */
function cell(
  kind: KindDefinition,
  column: Column,
  object: KubeObject,
  nowMs: number,
): string | number | boolean | null {
  let value
  try {
    value = column.value(object, nowMs)
  } catch {
    return null // a half-filled object, for instance a status that nobody has written yet
  }
  if (value === undefined) return null
  // Kubernetes' own kinds show the moment, custom ones how long ago it was.
  if (column.type === 'date' && kind.flavour === 'custom' && typeof value === 'string')
    return humanAge(value, nowMs)
  return value
}

/** Pods that have ended carry a row condition, by which clients may fold them away. */
function terminalPhase(kind: KindDefinition, object: KubeObject): string | undefined {
  if (kind.kind !== 'Pod' || kind.group !== '') return undefined
  const { status } = object as KubeObject & { status?: { phase?: string } }
  return status?.phase === 'Succeeded' || status?.phase === 'Failed' ? status.phase : undefined
}

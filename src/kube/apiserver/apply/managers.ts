/**
 * `metadata.managedFields`: who last spoke of which field. One entry for each manager that applies
 * (and subresource), one for each that updates (and version and subresource). An entry without `fieldsV1` is the store's
 * short form: its manager owns everything in its part of the object (`tracking.ts`); clients never see it.
 */
import { isRecord } from '../values.ts'
import { isEmpty, leaf, readTree, union } from './field-set.ts'
import type { FieldTree } from './field-set.ts'

export interface Manager {
  readonly manager: string
  readonly operation: 'Apply' | 'Update'
  readonly apiVersion: string
  /** '' for the object itself. */
  readonly subresource: string
}

export interface Entry extends Manager {
  /** RFC 3339. */
  readonly time: string | undefined
  /** Absent: everything in the part that the manager writes. */
  readonly fields: FieldTree | undefined
}

/** The name of the manager under whom everything goes that was there before the first apply. */
export const beforeFirstApply = 'before-first-apply'
const oldUpdates = 'ancient-changes'
/** Managers that update, in one object; the oldest beyond it become one. */
const updateManagerLimit = 10

/** Two entries of one identity are one. Who applies is the same in every version. */
export const isSame = (a: Manager, b: Manager): boolean =>
  a.manager === b.manager &&
  a.operation === b.operation &&
  a.subresource === b.subresource &&
  (a.operation === 'Apply' || a.apiVersion === b.apiVersion)

/** The entries of an object; those that can't be read are left out. */
export function readEntries(list: readonly unknown[] = []): Entry[] {
  const entries: Entry[] = []
  for (const each of list) {
    const entry = readEntry(each)
    if (!entry) continue
    const at = entries.findIndex((other) => isSame(other, entry))
    const other = entries[at]
    if (!other) entries.push(entry)
    else entries[at] = { ...other, fields: union(other.fields ?? leaf, entry.fields ?? leaf) }
  }
  return entries
}

function readEntry(each: unknown): Entry | undefined {
  if (!isRecord(each)) return undefined
  const { manager, operation, apiVersion, subresource, time, fieldsV1 } = each
  if (operation !== 'Apply' && operation !== 'Update') return undefined
  const fields = fieldsV1 === undefined ? undefined : knownTree(fieldsV1)
  if (fieldsV1 !== undefined && !fields) return undefined
  return {
    manager: typeof manager === 'string' ? manager : '',
    operation,
    apiVersion: typeof apiVersion === 'string' ? apiVersion : '',
    subresource: typeof subresource === 'string' ? subresource : '',
    time: typeof time === 'string' ? time : undefined,
    fields,
  }
}

const trees = new WeakMap<object, FieldTree>()

/** Trees that have been read or made here before need no check. */
function knownTree(value: unknown): FieldTree | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const known = trees.get(value)
  if (known) return known
  const tree = readTree(value)
  if (tree) trees.set(value, tree)
  return tree
}

/** The entries as they are stored, in Kubernetes' order: who applies first, then by time. Undefined for none. */
export function writtenEntries(entries: readonly Entry[]): readonly unknown[] | undefined {
  const kept = entries.filter(({ fields }) => fields === undefined || !isEmpty(fields))
  return kept.length === 0 ? undefined : kept.toSorted(inOrder).map(written)
}

function written(entry: Entry): Readonly<Record<string, unknown>> {
  const { manager, operation, apiVersion, subresource, time, fields } = entry
  return {
    manager,
    operation,
    apiVersion,
    ...(time !== undefined && { time }),
    ...(fields && { fieldsType: 'FieldsV1', fieldsV1: fields }),
    ...(subresource !== '' && { subresource }),
  }
}

const inOrder = (a: Entry, b: Entry): number =>
  byText(a.operation, b.operation) ||
  byText(a.time ?? '', b.time ?? '') ||
  byText(a.manager, b.manager) ||
  byText(a.apiVersion, b.apiVersion) ||
  byText(a.subresource, b.subresource)

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The entries with the oldest updates of each version made one, so that no more than ten update. All have their fields. */
export function capped(entries: readonly Entry[]): readonly Entry[] {
  const updates = entries.filter(({ operation }) => operation === 'Update').toSorted(inOrder)
  let excess = updates.length - updateManagerLimit
  if (excess <= 0) return entries
  let result = [...entries]
  const firsts = new Map<string, Entry>()
  for (const entry of updates) {
    if (excess <= 0) break
    const bucket = { manager: oldUpdates, operation: 'Update', subresource: '' } as const
    const first = firsts.get(entry.apiVersion)
    if (!first) {
      firsts.set(entry.apiVersion, entry)
      continue
    }
    const joined: Entry = {
      ...bucket,
      apiVersion: entry.apiVersion,
      time: entry.time,
      fields: union(first.fields ?? leaf, entry.fields ?? leaf),
    }
    result = [...result.filter((each) => each !== first && each !== entry), joined]
    firsts.set(entry.apiVersion, joined)
    excess--
  }
  return result
}

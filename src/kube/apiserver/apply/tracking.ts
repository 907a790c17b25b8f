/**
 * Keeps `metadata.managedFields` at every write that is no apply. Almost every object is written by one manager in each
 * of its parts (what is wished; the status): then the entry alone is stored, and it means "everything in that part". Only
 * when a second manager comes are the fields spelled out and compared write by write, as Kubernetes always does. So the
 * writes of the controllers cost nothing, and an object in the store is a third smaller. Clients get all fields spelled
 * out (`withManagedFields`).
 */
import { rfc3339 } from '../../../lib/clock.ts'
import type { KindDefinition } from '../../api/kind.ts'
import type { KubeObject, ObjectMeta } from '../../api/meta.ts'
import { invalid } from '../../api/status-error.ts'
import type { FieldCause } from '../../api/status-error.ts'
import { wholeSchema } from '../../api/structural.ts'
import { apiVersionOfTarget } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { equal, isRecord, open } from '../values.ts'
import { difference, isEmpty, leaf, union, withoutBelow } from './field-set.ts'
import type { FieldTree } from './field-set.ts'
import { capped, isSame, readEntries, writtenEntries } from './managers.ts'
import type { Entry, Manager } from './managers.ts'
import { changes, createdTrees, nobodys } from './ownership.ts'

/** Longest name of a manager that is taken from a User-Agent. */
const agentLimit = 128

/** Who writes, as an entry names them. */
export function managerOf(target: Target, operation: Manager['operation'] = 'Update'): Manager {
  const { options, agent, user } = target.request
  const name = options.fieldManager ?? agentName(agent) ?? user.username.split(':').at(-1) ?? ''
  return {
    manager: name === '' ? 'unknown' : name,
    operation,
    apiVersion: apiVersionOfTarget(target),
    subresource: target.subresource,
  }
}

/** `kubectl/v1.31.0 (linux/amd64)` is `kubectl`. */
function agentName(agent: string | undefined): string | undefined {
  if (agent === undefined || agent === '') return undefined
  const [name = ''] = agent.split('/')
  return name.replaceAll(/[^\x20-\x7e]/g, '').slice(0, agentLimit) || undefined
}

/** A new object with its first manager, who owns all of it. */
export function trackedCreate(target: Target, object: KubeObject): KubeObject {
  const entry: Entry = {
    ...managerOf(target),
    time: rfc3339(target.machinery.clock.now()),
    fields: undefined,
  }
  return withEntries(object, writtenEntries([entry]))
}

/**
 * `next`, about to replace `old`, with the managers after this write. `base`: the managers that the request itself set.
 * Their list stays the same reference where nothing has to be said.
 */
export function trackedUpdate(
  target: Target,
  old: KubeObject,
  next: KubeObject,
  base?: readonly Entry[],
): KubeObject {
  const list = old.metadata.managedFields
  // Who was not followed from the start is not followed, until someone applies.
  if (base ? base.length === 0 : !list || list.length === 0) return withEntries(next, undefined)
  const me = managerOf(target)
  const time = rfc3339(target.machinery.clock.now())
  const entries = base ?? readEntries(list)
  const short = base ? undefined : shortUpdate(target, old, next, entries, me, time)
  if (short) return withEntries(next, short === entries ? list : writtenEntries(short))

  const { kind } = target
  const { changed, removed } = ownChanges(kind, old, next)
  if (isEmpty(changed) && isEmpty(removed))
    return withEntries(next, base ? writtenEntries(base) : list)
  const others: Entry[] = []
  let mine: FieldTree = leaf
  const untouched = entries.filter((entry) => isUntouched(kind, entry, changed, removed))
  others.push(...untouched)
  const touched = entries.filter((entry) => !untouched.includes(entry))
  for (const entry of spelledOut(kind, old, touched)) {
    const left = difference(difference(entry.fields ?? leaf, changed), removed)
    if (isSame(entry, me)) mine = left
    if (!isEmpty(left) && !(isSame(entry, me) && !isEmpty(changed)))
      others.push({ ...entry, fields: left })
  }
  const all = isEmpty(changed) ? others : [...others, { ...me, time, fields: union(mine, changed) }]
  return withEntries(next, writtenEntries(capped(all)))
}

/** True for the short entry of a part that a write had nothing to do with: it may stay short. */
function isUntouched(kind: KindDefinition, entry: Entry, ...sets: readonly FieldTree[]): boolean {
  if (entry.fields !== undefined || !kind.hasStatus) return false
  const ofStatus = isStatusEntry(kind, entry)
  return sets.every((set) =>
    Object.keys(set).every((element) => (element === 'f:status') !== ofStatus),
  )
}

/** The entries after a write that needs no spelling out; undefined when it does; `entries` itself when nothing changes. */
function shortUpdate(
  target: Target,
  old: KubeObject,
  next: KubeObject,
  entries: readonly Entry[],
  me: Manager,
  time: string,
): readonly Entry[] | undefined {
  const { kind } = target
  const inStatus = kind.hasStatus && me.subresource === 'status'
  if (inStatus) {
    // Whoever owns all of the rest owns what it writes there through status.
    const ownsRest = entries.some(
      ({ fields, manager, subresource }) =>
        fields === undefined && manager === me.manager && subresource === '',
    )
    if (!ownsRest && !sameWish(old, next)) return undefined
    const others = entries.filter(speaksOfStatus)
    if (others.length === 0) return [...entries, { ...me, time, fields: undefined }]
    if (others.length > 1) return undefined
  } else if (entries.some((entry) => !isStatusEntry(kind, entry) && !isSame(entry, me)))
    return undefined
  const at = entries.findIndex((entry) => entry.fields === undefined && isSame(entry, me))
  const mine = entries[at]
  if (!mine) return undefined
  return mine.time === time ? entries : entries.with(at, { ...mine, time })
}

const isStatusEntry = (kind: KindDefinition, { subresource }: Entry): boolean =>
  kind.hasStatus && subresource === 'status'

const speaksOfStatus = ({ subresource, fields }: Entry): boolean =>
  subresource === 'status' || fields?.['f:status'] !== undefined

/** True when a write through status changed nothing else that managers are kept of. */
function sameWish(old: KubeObject, next: KubeObject): boolean {
  for (const name of Object.keys(next))
    if (name !== 'metadata' && name !== 'status' && open(old)[name] !== open(next)[name])
      return false
  const [before, after] = [old.metadata, next.metadata]
  return (
    before === after ||
    (['labels', 'annotations', 'ownerReferences', 'finalizers'] as const).every((name) =>
      equal(before[name], after[name]),
    )
  )
}

/** What a write changed, without what belongs to nobody. */
export function ownChanges(kind: KindDefinition, old: KubeObject, next: KubeObject) {
  const { changed, removed } = changes(wholeSchema(kind), old, next)
  return { changed: ownable(changed), removed: ownable(removed) }
}

const nobodysTree: FieldTree = {
  'f:apiVersion': leaf,
  'f:kind': leaf,
  'f:metadata': {
    '.': leaf,
    ...Object.fromEntries(nobodys.map((name) => [`f:${name}`, leaf])),
  },
}
const managedFieldsTree: FieldTree = { 'f:metadata': { 'f:managedFields': leaf } }

/** The fields that managers are kept of. */
export const ownable = (set: FieldTree): FieldTree =>
  difference(withoutBelow(set, managedFieldsTree), nobodysTree)

/** The entries with the fields of those that own everything, as the object shows them. */
export function spelledOut(
  kind: KindDefinition,
  object: KubeObject,
  entries: readonly Entry[],
  version?: string,
): readonly Entry[] {
  if (entries.every(({ fields }) => fields !== undefined)) return entries
  const { rest, status } = createdTrees(
    wholeSchema(kind, version),
    object,
    kind.flavour === 'builtin',
  )
  return entries.map((entry) => {
    if (entry.fields !== undefined) return entry
    if (isStatusEntry(kind, entry)) return { ...entry, fields: status }
    return { ...entry, fields: kind.hasStatus ? rest : union(rest, status) }
  })
}

/** The object as clients see it: all managers with their fields. The same object when there is nothing to spell out. */
export function withManagedFields<T extends KubeObject>(
  kind: KindDefinition,
  object: T,
  version?: string,
): T {
  const list = object.metadata.managedFields
  if (!list?.some((each) => isRecord(each) && each['fieldsV1'] === undefined)) return object
  const entries = spelledOut(kind, object, readEntries(list), version)
  return withEntries(object, writtenEntries(entries))
}

/** `object` with these managers. */
export function withEntries<T extends KubeObject>(
  object: T,
  managedFields: readonly unknown[] | undefined,
): T {
  if (object.metadata.managedFields === managedFields) return object
  if (managedFields) return { ...object, metadata: { ...object.metadata, managedFields } }
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}

/**
 * The managers that an update itself sets: none for `[{}]`, which forgets them, undefined when it leaves them alone.
 * Throws Invalid for entries that make no sense.
 */
export function requestedEntries(
  target: Target,
  old: KubeObject,
  given: ObjectMeta,
): readonly Entry[] | undefined {
  const { managedFields } = given
  const stored = old.metadata.managedFields
  if (managedFields === stored || !managedFields || managedFields.length === 0) return undefined
  if (target.subresource !== '') return undefined
  const [first] = managedFields
  if (managedFields.length === 1 && isRecord(first) && Object.keys(first).length === 0) return []
  if (equal(managedFields, stored)) return undefined
  const causes = entryProblems(managedFields)
  if (causes.length > 0) throw invalid(target.kind, target.name, causes)
  const entries = readEntries(managedFields).filter(
    ({ fields }) => fields !== undefined && !isEmpty(fields),
  )
  if (entries.length === 0) return undefined
  const shown = withManagedFields(target.kind, old).metadata.managedFields
  return equal(writtenEntries(entries), shown) ? undefined : entries
}

function entryProblems(entries: readonly unknown[]): FieldCause[] {
  const causes: FieldCause[] = []
  const wrong = (field: string, value: unknown, why: string): void => {
    causes.push({
      reason: 'FieldValueInvalid',
      field,
      detail: `Invalid value: ${JSON.stringify(value ?? '')}: ${why}`,
    })
  }
  for (const [i, entry] of entries.entries()) {
    if (!isRecord(entry)) continue
    const { operation, fieldsType, manager, subresource } = entry
    const at = `metadata.managedFields[${i}]`
    if (operation !== 'Apply' && operation !== 'Update')
      wrong(`${at}.operation`, operation, 'must be `Apply` or `Update`')
    if (fieldsType !== undefined && fieldsType !== '' && fieldsType !== 'FieldsV1')
      wrong(`${at}.fieldsType`, fieldsType, 'must be `FieldsV1`')
    if (typeof manager === 'string' && manager.length > agentLimit)
      wrong(`${at}.manager`, manager, `may not be more than ${agentLimit} bytes`)
    if (typeof subresource === 'string' && subresource.length > 256)
      wrong(`${at}.subresource`, subresource, 'may not be more than 256 bytes')
  }
  return causes
}

/**
 * Server-side apply as a function of values: the live object, its managers and a configuration in, the object and its
 * managers out. Follows structured-merge-diff's `merge.Updater` and apimachinery's
 * `managedfields`: who applies owns what the configuration says; what it said before and says no longer goes, unless
 * others hold it; what others say otherwise is a conflict.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import type { KindDefinition } from '../../api/kind.ts'
import type { Schema } from '../../api/schema.ts'
import { equal, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'
import { conflictError } from './conflicts.ts'
import type { Conflict } from './conflicts.ts'
import { difference, intersection, isEmpty, leaf, placeOf, union } from './field-set.ts'
import { isSame } from './managers.ts'
import type { Entry, Manager } from './managers.ts'
import { merged, pruned } from './merging.ts'
import { changes, fieldsIn } from './ownership.ts'
import { ownable } from './tracking.ts'

export interface Application {
  readonly schema: Schema
  readonly kind: KindDefinition
  /** The object as it is, without managers; of a new one only its type and name. */
  readonly live: Fields
  /** All with their fields. */
  readonly entries: readonly Entry[]
  readonly config: Fields
  readonly manager: Manager
  readonly force: boolean
  readonly nowMs: number
}

export interface Applied {
  readonly object: Fields
  readonly entries: readonly Entry[]
}

const annotation = 'kubectl.kubernetes.io/last-applied-configuration'
/** kubectl's own name: it goes over from client-side to server-side apply, which other managers do not. */
const kubectl = 'kubectl'

/** Throws Conflict. */
export function applied(application: Application): Applied {
  const { manager, live, config } = application
  const { conflicts, result } = attempt(application)
  const left =
    conflicts.length === 0 || application.force
      ? []
      : manager.manager === kubectl
        ? withoutOwnLastApplied(application, conflicts)
        : conflicts
  if (left.length > 0) throw conflictError(left)
  const { object, entries } = result()
  if (manager.manager !== kubectl || manager.subresource !== '') return { object, entries }
  return { object: withLastApplied(live, object, config), entries }
}

const named = placeOf(['f:metadata', 'f:name'])

/** What would come of it, and what stands against it. `result` takes the fields away from those it conflicts with. */
function attempt({ schema, live, entries, config, manager, nowMs }: Application) {
  const wanted = ownable(fieldsIn(schema, config))
  const others = entries.filter((entry) => !isSame(entry, manager))
  const before = entries.find((entry) => isSame(entry, manager))
  let object = asFields(merged(schema, live, config), live)
  if (before?.fields && !isEmpty(before.fields)) {
    // Metadata is never gone: its name is everyone's.
    const held = others.reduce((all, { fields = leaf }) => union(all, fields), union(wanted, named))
    object = asFields(pruned(schema, object, before.fields, held), live)
  }
  const written = changes(schema, live, object)
  const changed = ownable(written.changed)
  const removed = ownable(written.removed)
  const conflicts: Conflict[] = others
    .map((entry) => ({ with: entry, fields: intersection(entry.fields ?? leaf, changed) }))
    .filter(({ fields }) => !isEmpty(fields))
  const result = (): Applied => {
    const rest = others.map((entry) => ({
      ...entry,
      fields: difference(difference(entry.fields ?? leaf, changed), removed),
    }))
    const isQuiet =
      before?.fields !== undefined &&
      equal(before.fields, wanted) &&
      before.apiVersion === manager.apiVersion &&
      isEmpty(changed) &&
      isEmpty(removed)
    const mine = { ...manager, time: isQuiet ? before.time : rfc3339(nowMs), fields: wanted }
    return { object, entries: [...rest, mine].filter(({ fields }) => !isEmpty(fields)) }
  }
  return { conflicts, result }
}

const asFields = (value: unknown, otherwise: Fields): Fields =>
  isRecord(value) ? value : otherwise

/**
 * The conflicts that remain when kubectl applies on the server what it applied itself before: what its own annotation
 * says, and the live object still says, is its own whatever the managers say.
 */
function withoutOwnLastApplied(
  { schema, live }: Application,
  conflicts: readonly Conflict[],
): readonly Conflict[] {
  const last = lastApplied(live)
  if (!last) return conflicts
  const differs = changes(schema, live, last)
  const own = difference(difference(fieldsIn(schema, last), differs.changed), differs.removed)
  return conflicts
    .map((conflict) => ({ ...conflict, fields: difference(conflict.fields, own) }))
    .filter(({ fields }) => !isEmpty(fields))
}

function lastApplied(object: Fields): Fields | undefined {
  const text = annotationsOf(object)[annotation]
  if (typeof text !== 'string') return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Where kubectl once applied on its own side, the annotation goes along, so that it may go back to that. */
function withLastApplied(live: Fields, object: Fields, config: Fields): Fields {
  if (annotationsOf(live)[annotation] === undefined) return object
  const { metadata } = config
  const { annotations, ...rest } = isRecord(metadata) ? metadata : {}
  const others = isRecord(annotations)
    ? Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== annotation))
    : undefined
  const said = { ...config, metadata: { ...rest, ...(others && { annotations: others }) } }
  const meta = isRecord(object['metadata']) ? object['metadata'] : {}
  return {
    ...object,
    metadata: {
      ...meta,
      annotations: { ...annotationsOf(object), [annotation]: `${JSON.stringify(said)}\n` },
    },
  }
}

function annotationsOf({ metadata }: Fields): Fields {
  const { annotations } = isRecord(metadata) ? metadata : {}
  return isRecord(annotations) ? annotations : {}
}

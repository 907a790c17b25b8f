/** JSON Merge Patch (RFC 7386): maps merge, null deletes, everything else replaces. */
import { isRecord } from '../values.ts'
import type { Fields } from '../values.ts'

/** `target` with `patch` applied; neither is changed, what the patch does not touch is shared. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch
  const merged = new Map(Object.entries(isRecord(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else if (value !== undefined) merged.set(key, mergePatch(merged.get(key), value))
  }
  return fromEntries(merged)
}

/** As `Object.fromEntries`: sets own fields only, so that a `__proto__` in a patch is an ordinary field. */
export const fromEntries = (entries: Iterable<readonly [string, unknown]>): Fields =>
  Object.fromEntries(entries)

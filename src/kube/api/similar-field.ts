/** Which field somebody who misspelled one may have meant: the nearest of those that the schema knows at that place. */
import { fieldSchema, nodeOf } from './schema-node.ts'
import type { Schema } from './schema.ts'

/** Longer names are compared with nothing: a comparison costs the product of both lengths. */
const longest = 64

/**
 * The name of the field that is most like the last one of `path`, which is written as `unknownFields` does; undefined
 * when none is. A letter in four may be wrong.
 */
export function similarField(schema: Schema, path: string): string | undefined {
  const names = path.split('.')
  const wrong = names.pop() ?? ''
  if (wrong.length > longest) return undefined
  let at: Schema | undefined = schema
  for (const name of names) {
    const [field = '', ...indices] = name.split('[')
    const next: Schema | true | undefined = at && fieldSchema(nodeOf(at), field)
    at = next === true ? undefined : next
    for (const _ of indices) at = at && nodeOf(at).items
  }
  const known = at ? Object.keys(nodeOf(at).properties ?? {}) : []
  const allowed = Math.floor(wrong.length / 4)
  const [nearest] = known
    .map((name) => ({ name, edits: editsBetween(wrong, name) }))
    .filter(({ edits }) => edits <= allowed)
    .toSorted((a, b) => a.edits - b.edits)
  return nearest?.name
}

/** How many letters are put in, left out or replaced on the way from one word to the other (Levenshtein). */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++)
      next.push(
        Math.min(
          (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1),
          (row[j + 1] ?? 0) + 1,
          (next[j] ?? 0) + 1,
        ),
      )
    row = next
  }
  return row[b.length] ?? 0
}

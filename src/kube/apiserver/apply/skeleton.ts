/**
 * What a built-in object is before anything is said of it. Go's types have their structs from the start, so that nobody
 * owns `.spec` or `.spec.template` themselves; a custom object has nothing, and who makes it owns these places too.
 */
import type { KindDefinition } from '../../api/kind.ts'
import { wholeSchema } from '../../api/structural.ts'
import { resolve } from '../../api/structural.ts'
import type { Schema } from '../../api/schema.ts'

/** Structs that are part of their parents, not pointers. */
const embedded = new Set([
  'spec',
  'status',
  'template',
  'metadata',
  'strategy',
  'updateStrategy',
  'jobTemplate',
])

const known = new WeakMap<KindDefinition, unknown>()
const bare = { metadata: {} }

export function builtinSkeleton(kind: KindDefinition): unknown {
  if (kind.flavour === 'custom') return bare
  let skeleton = known.get(kind)
  if (skeleton === undefined) known.set(kind, (skeleton = structsOf(wholeSchema(kind), 0)))
  return skeleton
}

function structsOf(schema: Schema, depth: number): unknown {
  const fields: Record<string, unknown> = {}
  if (depth > 5) return fields
  for (const [name, field] of Object.entries(resolve(schema).properties ?? {}))
    if (embedded.has(name) && resolve(field).properties) fields[name] = structsOf(field, depth + 1)
  return fields
}

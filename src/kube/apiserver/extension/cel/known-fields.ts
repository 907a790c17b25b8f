/** Fields that an expression reads and that the schema of `self` does not have: mostly misspelt. */
import type { CustomSchema } from '../custom-schema.ts'
import type { CelProgram } from './engine.ts'
import { escapedName } from './values.ts'

/** The first name that leads nowhere; undefined when all that can be told are known. */
export function unknownField(schema: CustomSchema, { paths }: CelProgram): string | undefined {
  for (const [root, ...names] of paths) {
    if (root !== 'self' && root !== 'oldSelf') continue
    let at: CustomSchema | undefined = schema
    for (const name of names) {
      if (!at || isOpen(at) || at.type !== 'object') break
      const next: CustomSchema | undefined = fieldOf(at, name)
      if (!next) return name
      at = next
    }
  }
  return undefined
}

/** Anything may be below. */
const isOpen = (schema: CustomSchema): boolean =>
  schema['x-kubernetes-preserve-unknown-fields'] === true ||
  schema['x-kubernetes-embedded-resource'] === true ||
  schema.additionalProperties !== undefined ||
  schema.properties === undefined

function fieldOf({ properties = {} }: CustomSchema, name: string): CustomSchema | undefined {
  if (Object.hasOwn(properties, name)) return properties[name]
  return Object.entries(properties).find(([field]) => escapedName(field) === name)?.[1]
}

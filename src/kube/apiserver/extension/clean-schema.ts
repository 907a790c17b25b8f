/** A schema as it came, without what no schema has: `openAPIV3Schema` is stored as its author wrote it. */
import { isObject } from '../../api/schema-node.ts'
import { customSchema, type CustomSchema } from './custom-schema.ts'

const plain = new Set([
  'type',
  'description',
  'title',
  'format',
  'required',
  'default',
  'nullable',
  'enum',
  'example',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'pattern',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
])

/** `schema` has been found valid (`schema-problems.ts`), so its depth is bounded. */
export function cleanSchema(schema: unknown): CustomSchema {
  if (!isObject(schema)) return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const answer: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(schema)) {
    if (value === null && name !== 'default') continue
    if (plain.has(name)) answer[name] = value
    else if (name === 'properties' && isObject(value))
      answer[name] = Object.fromEntries(
        Object.entries(value).map(([field, each]) => [field, cleanSchema(each)]),
      )
    else if (name === 'items' || name === 'not') answer[name] = cleanSchema(value)
    else if (name === 'additionalProperties')
      answer[name] = typeof value === 'boolean' ? value : cleanSchema(value)
    else if ((name === 'allOf' || name === 'anyOf' || name === 'oneOf') && Array.isArray(value))
      answer[name] = value.map(cleanSchema)
  }
  return customSchema(answer)
}

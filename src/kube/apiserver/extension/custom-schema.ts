/**
 * The schema of a custom kind: what a CustomResourceDefinition's `openAPIV3Schema` may say beyond what the built-in kinds
 * need. Values of it have passed `schema-problems.ts`.
 */
import type { Schema } from '../../api/schema.ts'

export interface ValidationRule {
  readonly rule: string
  readonly message?: string
  readonly messageExpression?: string
  readonly reason?: string
  readonly fieldPath?: string
  readonly optionalOldSelf?: boolean
}

export interface CustomSchema extends Schema {
  readonly properties?: Readonly<Record<string, CustomSchema>>
  readonly additionalProperties?: CustomSchema | boolean
  readonly items?: CustomSchema
  readonly exclusiveMinimum?: boolean
  readonly exclusiveMaximum?: boolean
  readonly multipleOf?: number
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly allOf?: readonly CustomSchema[]
  readonly anyOf?: readonly CustomSchema[]
  readonly oneOf?: readonly CustomSchema[]
  readonly not?: CustomSchema
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[]
}

/** A schema that has been checked, as one. */
export const customSchema = (checked: object): CustomSchema => checked as CustomSchema

/** Everything below a node that describes parts of its value. */
export function* partsOf(schema: CustomSchema): Generator<readonly [string, CustomSchema]> {
  for (const [name, each] of Object.entries(schema.properties ?? {})) yield [`.${name}`, each]
  if (typeof schema.additionalProperties === 'object') yield ['[*]', schema.additionalProperties]
  if (schema.items) yield ['[*]', schema.items]
}

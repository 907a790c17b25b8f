/**
 * EventType in its other versions: v1beta3 with a list of attributes, v1beta1 under another name, v1alpha1 with a
 * Broker.
 */
import { missingField } from '../../../knative/field-error.ts'
import {
  fieldsOf,
  isFields,
  listOf,
  textOf,
  without,
  type Fields,
} from '../../../knative/old-form.ts'
import type { Column, ServedVersion } from '../../../kube/api/kind.ts'
import { boolean, list, object, string, type Schema } from '../../../kube/api/schema.ts'
import { KReference } from '../duck/destination.ts'
import { refuse } from './destination.ts'
import { oldVersion } from './old-version.ts'

const group = 'eventing.knative.dev'
const kind = 'EventType'
const today = 'v1beta2'

const preserve = { 'x-kubernetes-preserve-unknown-fields': true } as const

const v1beta3Schema = object({
  spec: object({
    reference: KReference,
    description: string({ description: 'What such an event means, for people.' }),
    attributes: list(
      object({
        name: string({ description: 'Of the attribute.' }),
        required: boolean({ description: 'Such an event always has it.' }),
        value: string({ description: 'Its value, in which {names} stand for anything.' }),
      }),
    ),
  }),
  status: object({}, preserve),
})

const brokerReference = (name: string): Fields => ({
  apiVersion: `${group}/v1`,
  kind: 'Broker',
  name,
})

function toAttributes(spec: Fields): Fields {
  const { type, source, schema, broker, reference } = spec
  const attribute = (name: string, value: unknown, required = true) => ({
    name,
    required,
    ...(typeof value === 'string' && value !== '' && { value }),
  })
  const to = isFields(reference)
    ? reference
    : textOf(broker)
      ? brokerReference(textOf(broker))
      : undefined
  return {
    ...(to && { reference: to }),
    ...(typeof spec['description'] === 'string' && { description: spec['description'] }),
    attributes: [
      attribute('specversion', undefined),
      attribute('id', undefined),
      attribute('type', type),
      attribute('source', source),
      ...(textOf(schema) ? [attribute('schemadata', schema, false)] : []),
    ],
  }
}

function fromAttributes(spec: Fields): Fields {
  const attributes = new Map(
    listOf(spec['attributes']).map((each) => [
      textOf(fieldsOf(each)['name']),
      textOf(fieldsOf(each)['value']),
    ]),
  )
  const missing = ['type', 'source', 'specversion', 'id'].filter((name) => !attributes.has(name))
  if (missing.length > 0)
    refuse([missingField(...missing.map((name) => `spec.attributes.${name}`))])
  const said = (field: string, name: string) =>
    attributes.get(name) ? { [field]: attributes.get(name) } : {}
  return {
    ...without(spec, 'attributes'),
    ...said('type', 'type'),
    ...said('source', 'source'),
    ...said('schema', 'schemadata'),
  }
}

/** `columns`: of v1beta3. */
export const eventTypeVersions = (
  schema: Schema,
  columns: readonly Column[],
): readonly ServedVersion[] => [
  oldVersion({
    group,
    version: 'v1beta3',
    kind,
    today,
    current: true,
    schema: v1beta3Schema,
    columns,
    toSpec: fromAttributes,
    fromSpec: toAttributes,
  }),
  oldVersion({ group, version: 'v1beta1', kind, today, schema }),
  oldVersion({
    group,
    version: 'v1alpha1',
    kind,
    today,
    toSpec: (spec) => ({
      ...without(spec, 'broker'),
      reference: spec['reference'] ?? brokerReference(textOf(spec['broker']) || 'default'),
    }),
    fromSpec(spec) {
      const { reference } = spec
      return { ...spec, broker: textOf(spec['broker']) || textOf(fieldsOf(reference)['name']) }
    },
  }),
]

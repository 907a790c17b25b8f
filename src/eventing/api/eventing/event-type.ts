/**
 * EventType: a type of event that can be had here, for people who look for it (eventing.knative.dev, stored as
 * v1beta2).
 */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import { fieldsOf, listOf, partsOf, textOf } from '../../../knative/old-form.ts'
import type { AdmissionContext, Column, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, string, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { eventTypeVersions } from '../conversion/event-type.ts'
import { inNamespace, KReference, validateReference } from '../duck/destination.ts'
import { withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, eventingGroup, validationWebhook } from '../names.ts'

export const EventTypeSpec = object({
  type: string({ description: 'The attribute type of such events.' }),
  source: string({ description: 'Their attribute source, a URI.' }),
  schema: string({ description: 'Where the schema of their data is found, a URI.' }),
  schemaData: string({ description: 'That schema itself.' }),
  broker: string({ description: 'Old form of reference: a Broker of the same namespace.' }),
  reference: KReference,
  description: string({ description: 'What such an event means, for people.' }),
})
export type EventTypeSpec = Static<typeof EventTypeSpec>

export const EventTypeStatus = object(statusFields)
export type EventTypeStatus = Static<typeof EventTypeStatus>

export interface EventType extends KubeObject {
  readonly spec: EventTypeSpec
  readonly status?: EventTypeStatus
}

/** Where such events can be had: the reference, or the Broker of the old form. */
export const referenceOf = ({ spec }: EventType): KReference | undefined =>
  spec.reference ??
  (spec.broker
    ? { apiVersion: `${eventingGroup}/v1`, kind: 'Broker', name: spec.broker }
    : undefined)

const withDefaults = (eventType: EventType): EventType => {
  const { spec, metadata } = eventType
  return {
    ...eventType,
    spec: {
      ...spec,
      ...(spec?.reference && {
        reference: inNamespace(spec.reference, metadata.namespace ?? ''),
      }),
    },
  }
}

function defaults(sent: EventType, context: AdmissionContext<EventType>): EventType {
  const eventType = withDefaults(sent)
  const { old } = context
  const changed = !old || !sameJson(eventType.spec, withDefaults(old).spec)
  return withUserInfo(eventType, eventingGroup, context, changed)
}

function* validate(
  { spec }: EventType,
  context: AdmissionContext<EventType>,
): Generator<FieldError> {
  if (!spec.type) yield missingField('spec.type')
  if (spec.reference) yield* via('spec.reference', validateReference(spec.reference, { context }))
}

export const eventTypeConditions = conditionSet({ dependents: ['ReferenceExists'] })

type Field = 'type' | 'source' | 'schema'

/** Of the storage version. */
const specColumn = (name: string, field: Field): Column<EventType> => ({
  name,
  type: 'string',
  jsonPath: `.spec.${field}`,
  value: ({ spec }) => spec[field],
})

/** Of v1beta3, where it is one of the attributes; tables are of what is stored, or of what is answered. */
const attributeColumn = (name: string, attribute: 'type' | 'source'): Column => ({
  name,
  type: 'string',
  jsonPath: `.spec.attributes[?(@.name=="${attribute}")].value`,
  value(object) {
    const { spec } = partsOf(object)
    const found = listOf(spec['attributes']).map(fieldsOf)
    const said = found.find((each) => each['name'] === attribute)?.['value'] ?? spec[attribute]
    return textOf(said) || undefined
  },
})

const referenceColumns: readonly Column<EventType>[] = [
  {
    name: 'Reference Name',
    type: 'string',
    value: (eventType) => referenceOf(eventType)?.name,
    jsonPath: '.spec.reference.name',
  },
  {
    name: 'Reference Kind',
    type: 'string',
    value: (eventType) => referenceOf(eventType)?.kind,
    jsonPath: '.spec.reference.kind',
  },
  {
    name: 'Description',
    type: 'string',
    value: ({ spec }) => spec.description,
    jsonPath: '.spec.description',
  },
  ...readyColumns,
]

const schema = object({ spec: EventTypeSpec, status: EventTypeStatus })

export const EventType: KindDefinition<EventType> = {
  group: eventingGroup,
  version: 'v1beta2',
  kind: 'EventType',
  plural: 'eventtypes',
  singular: 'eventtype',
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'A type of event that can be had here.',
  definition: { labels: definitionLabels.plain },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema,
  versions: eventTypeVersions(schema, [
    attributeColumn('Type', 'type'),
    attributeColumn('Source', 'source'),
    ...referenceColumns,
  ]),
  columns: [
    specColumn('Type', 'type'),
    specColumn('Source', 'source'),
    specColumn('Schema', 'schema'),
    ...referenceColumns,
  ],
}

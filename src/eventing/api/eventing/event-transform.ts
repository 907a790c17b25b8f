/** EventTransform: other events of events, by JSONata (eventing.knative.dev/v1alpha1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import {
  genericError,
  missingOneOf,
  multipleOneOf,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { boolean, integer, object, string, type Static } from '../../../kube/api/schema.ts'
import { addressFields, policyFields, urlColumn } from '../duck/address-status.ts'
import { Destination, destinationIn, validateDestination } from '../duck/destination.ts'
import { definitionLabels, eventingGroup, validationWebhook } from '../names.ts'
import { sourceDefaults } from '../sources/source-kind.ts'
import { sinkColumn, sourceStatusFields } from '../duck/source-spec.ts'

const Jsonata = object({ expression: string({ description: 'In JSONata.' }) })

export const EventTransformSpec = object({
  sink: Destination,
  jsonata: Jsonata,
  reply: object(
    {
      jsonata: Jsonata,
      discard: boolean({ description: 'What the sink answers is not passed on.' }),
    },
    { description: 'What becomes of what the sink answers.' },
  ),
})
export type EventTransformSpec = Static<typeof EventTransformSpec>

export const EventTransformStatus = object({
  ...sourceStatusFields,
  ...addressFields,
  ...policyFields,
  jsonata: object({
    deployment: object({
      replicas: integer(),
      readyReplicas: integer(),
      availableReplicas: integer(),
      updatedReplicas: integer(),
    }),
  }),
})
export type EventTransformStatus = Static<typeof EventTransformStatus>

export interface EventTransform extends KubeObject {
  readonly spec: EventTransformSpec
  readonly status?: EventTransformStatus
}

const withDefaults = (transform: EventTransform): EventTransform => {
  const { spec, metadata } = transform
  return {
    ...transform,
    spec: {
      ...spec,
      ...(spec?.sink && { sink: destinationIn(spec.sink, metadata.namespace ?? '') }),
    },
  }
}

function* validate(
  { spec }: EventTransform,
  { old }: AdmissionContext<EventTransform>,
): Generator<FieldError> {
  const { sink, jsonata, reply } = spec
  if (!jsonata?.expression) yield missingOneOf('spec.jsonata')
  if (sink) yield* via('spec.sink', validateDestination(sink))
  if (reply && !sink) yield genericError('reply is set without spec.sink', 'spec.reply')
  if (reply?.discard && reply.jsonata)
    yield multipleOneOf('spec.reply.discard', 'spec.reply.jsonata')
  if (sink?.CACerts && jsonata)
    yield genericError(
      'CACerts for the sink is not supported for JSONata transformations, to propagate CA trust bundles use labeled ConfigMaps: networking.knative.dev/trust-bundle=true',
      'spec.sink.CACerts',
    )
  if (old?.spec.jsonata && !jsonata)
    yield genericError(
      'Transformations types are immutable, jsonata transformation cannot be changed to a different transformation type',
      'spec',
    )
}

export const eventTransformConditions = conditionSet({
  dependents: ['TransformationReady', 'Addressable', 'EventPoliciesReady'],
})

export const EventTransform: KindDefinition<EventTransform> = {
  group: eventingGroup,
  version: 'v1alpha1',
  kind: 'EventTransform',
  plural: 'eventtransforms',
  singular: 'eventtransform',
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Makes other events of events, by an expression in JSONata.',
  definition: {
    labels: definitionLabels.addressable,
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withDefaults, eventingGroup),
    validate,
  }),
  schema: object({ spec: EventTransformSpec, status: EventTransformStatus }),
  columns: [urlColumn, sinkColumn, ...readyColumns],
}

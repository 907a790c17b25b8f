/**
 * RequestReply: an address that answers a request with the event that a Broker brings back
 * (eventing.knative.dev/v1alpha1).
 */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import {
  disallowedFields,
  invalidValue,
  missingField,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { integer, object, string, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { parseIsoDuration } from '../../../lib/iso-duration.ts'
import { addressFields, policyFields, urlColumn } from '../duck/address-status.ts'
import { featuresOf } from '../config/read.ts'
import { DeliverySpec, deliveryIn, validateDelivery } from '../duck/delivery-spec.ts'
import { KReference, validateReference } from '../duck/destination.ts'
import { withMetadata, withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, eventingGroup, label, validationWebhook } from '../names.ts'

export const RequestReplySpec = object({
  brokerRef: KReference,
  correlationAttribute: string({ description: 'Carries the mark of a request.' }),
  replyAttribute: string({ description: 'Carries that mark in its answer.' }),
  timeout: string({ description: 'How long an answer is waited for, ISO 8601.' }),
  delivery: DeliverySpec,
})
export type RequestReplySpec = Static<typeof RequestReplySpec>

export const RequestReplyStatus = object({
  ...statusFields,
  ...addressFields,
  ...policyFields,
  desiredReplicas: integer({ format: 'int32' }),
  readyReplicas: integer({ format: 'int32' }),
})
export type RequestReplyStatus = Static<typeof RequestReplyStatus>

export interface RequestReply extends KubeObject {
  readonly spec: RequestReplySpec
  readonly status?: RequestReplyStatus
}

function withDefaults(object: RequestReply, context: AdmissionContext<RequestReply>): RequestReply {
  const { spec, metadata } = object
  const defaulted: RequestReply = {
    ...object,
    spec: {
      ...spec,
      correlationAttribute: spec?.correlationAttribute ?? 'correlationid',
      replyAttribute: spec?.replyAttribute ?? 'replyid',
      timeout: spec?.timeout ?? featuresOf(context).requestReplyDefaultTimeout,
      ...(spec?.delivery && { delivery: deliveryIn(spec.delivery, metadata.namespace ?? '') }),
    },
  }
  return withMetadata(defaulted, { labels: { [label.broker]: spec?.brokerRef?.name ?? '' } })
}

function defaults(sent: RequestReply, context: AdmissionContext<RequestReply>): RequestReply {
  const object = withDefaults(sent, context)
  const { old } = context
  return withUserInfo(object, eventingGroup, context, !old || !sameJson(object.spec, old.spec))
}

/** What a mark can not be: required, of a form of their own, or a Broker's. */
const reserved = [
  '',
  'id',
  'type',
  'specversion',
  'source',
  'data',
  'datacontenttype',
  'dataschema',
  'time',
  'knativearrivaltime',
  'knativebrokerttl',
]

function* validate(
  { spec }: RequestReply,
  context: AdmissionContext<RequestReply>,
): Generator<FieldError> {
  const { brokerRef, timeout = '', delivery } = spec
  if (!brokerRef) yield missingField('spec.brokerRef')
  else {
    if (brokerRef.kind && brokerRef.kind.toLowerCase() !== 'broker')
      yield invalidValue(brokerRef.kind, 'spec.brokerRef.kind', 'only Broker is possible')
    if (brokerRef.namespace) yield disallowedFields('spec.brokerRef.namespace')
    yield* via('spec.brokerRef', validateReference(brokerRef, { context }))
  }
  for (const field of ['correlationAttribute', 'replyAttribute'] as const) {
    const name = spec[field] ?? ''
    if (reserved.includes(name) || !/^[a-z0-9]+$/.test(name))
      yield invalidValue(
        name,
        `spec.${field}`,
        'expected the name of an attribute other than id, type, source and specversion',
      )
  }
  // The request itself would be its answer.
  if (spec.correlationAttribute === spec.replyAttribute && spec.replyAttribute !== undefined)
    yield invalidValue(
      spec.replyAttribute,
      'spec.replyAttribute',
      'expected another attribute than spec.correlationAttribute',
    )
  if (!((parseIsoDuration(timeout) ?? 0) > 0))
    yield invalidValue(timeout, 'spec.timeout', 'expected a duration of ISO 8601, as PT30S')
  if (delivery) yield* via('spec.delivery', validateDelivery(delivery, context))
}

export const requestReplyConditions = conditionSet({
  dependents: ['TriggersReady', 'Addressable', 'EventPoliciesReady', 'BrokerReady'],
})

export const RequestReply: KindDefinition<RequestReply> = {
  group: eventingGroup,
  version: 'v1alpha1',
  kind: 'RequestReply',
  plural: 'requestreplies',
  singular: 'requestreply',
  shortNames: ['rr'],
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Answers a request with the event that a Broker brings back.',
  definition: { labels: definitionLabels.addressable },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema: object({ spec: RequestReplySpec, status: RequestReplyStatus }),
  columns: [urlColumn, ...readyColumns],
}

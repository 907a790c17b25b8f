/** Trigger: which of a Broker's events go to whom (eventing.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import {
  disallowedFields,
  genericError,
  invalidKeyName,
  invalidValue,
  missingField,
  missingOneOf,
  multipleOneOf,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { list, map, object, string, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { ageColumn, authFields } from '../duck/address-status.ts'
import { triggerVersions } from '../conversion/broker.ts'
import { featuresOf } from '../config/read.ts'
import { refuseUnknown } from '../admission/decoding.ts'
import { validateAcross } from '../admission/cross-namespace.ts'
import {
  DeliverySpec,
  deliveryIn,
  deliveryStatusFields,
  validateDelivery,
} from '../duck/delivery-spec.ts'
import { Destination, destinationIn, KReference, validateDestination } from '../duck/destination.ts'
import { withMetadata, withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, annotation, eventingGroup, label, validationWebhook } from '../names.ts'
import { attributeName, filterSchema, validateFilters } from './trigger-filter.ts'

export const TriggerSpec = object(
  {
    broker: string({ description: 'The Broker of the same namespace.' }),
    brokerRef: KReference,
    filter: object({
      attributes: map(string(), {
        description: 'Attributes that an event has; an empty value asks that there be any.',
      }),
    }),
    filters: list(filterSchema, { description: 'All of them match; then filter does not count.' }),
    subscriber: Destination,
    delivery: DeliverySpec,
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
)
export type TriggerSpec = Static<typeof TriggerSpec>

export const TriggerStatus = object({
  ...statusFields,
  ...deliveryStatusFields,
  ...authFields,
  subscriberUri: string({ description: 'Where events are sent.' }),
  subscriberCACerts: string(),
  subscriberAudience: string(),
})
export type TriggerStatus = Static<typeof TriggerStatus>

export interface Trigger extends KubeObject {
  readonly spec: TriggerSpec
  readonly status?: TriggerStatus
}

/** The Broker's name, however it is said. */
export const brokerOf = ({ spec }: Trigger): string => spec.broker || (spec.brokerRef?.name ?? '')

/** Its own namespace, unless `brokerRef` says another. */
export const brokerNamespaceOf = ({ spec, metadata }: Trigger): string =>
  (!spec.broker && spec.brokerRef?.namespace) || (metadata.namespace ?? '')

const withDefaults = (trigger: Trigger): Trigger => {
  const { spec, metadata } = trigger
  const { namespace = '' } = metadata
  const defaulted: Trigger = {
    ...trigger,
    spec: {
      ...spec,
      filter: spec?.filter ?? {},
      ...(spec?.subscriber && { subscriber: destinationIn(spec.subscriber, namespace) }),
      ...(spec?.delivery && { delivery: deliveryIn(spec.delivery, namespace) }),
    },
  }
  return withMetadata(defaulted, { labels: { [label.broker]: brokerOf(defaulted) } })
}

function defaults(sent: Trigger, context: AdmissionContext<Trigger>): Trigger {
  refuseUnknown(sent.spec ?? {}, Object.keys(TriggerSpec.properties ?? {}))
  const trigger = withDefaults(sent)
  const { old } = context
  const changed = !old || !sameJson(trigger.spec, withDefaults(old).spec)
  return withUserInfo(trigger, eventingGroup, context, changed)
}

function* validate(trigger: Trigger, context: AdmissionContext<Trigger>): Generator<FieldError> {
  const { old } = context
  const { spec, metadata } = trigger
  yield* via('spec', validateSpec(trigger, context))
  yield* via('metadata.annotations', validateAnnotations(trigger))
  if (old && (old.spec.broker ?? '') !== (spec.broker ?? ''))
    yield {
      message: 'Immutable fields changed (-old +new)',
      paths: ['broker', 'spec'],
      details: `{string}:\n\t-: ${JSON.stringify(old.spec.broker ?? '')}\n\t+: ${JSON.stringify(spec.broker ?? '')}\n`,
    }
  if (metadata.name.length > 63 && !old)
    yield invalidValue(metadata.name, 'metadata.name', 'must be no more than 63 characters')
}

function* validateSpec(
  trigger: Trigger,
  context: AdmissionContext<Trigger>,
): Generator<FieldError> {
  const { spec, metadata } = trigger
  if (!spec.broker && !spec.brokerRef) yield missingOneOf('broker', 'brokerRef')
  if (spec.broker && spec.brokerRef) yield multipleOneOf('broker', 'brokerRef')
  if (spec.brokerRef && !spec.brokerRef.name) yield missingField('brokerRef.name')
  if (spec.brokerRef?.namespace && !featuresOf(context).crossNamespaceEventLinks)
    yield disallowedFields('brokerRef.namespace')
  else
    yield* validateAcross(
      {
        group: eventingGroup,
        resource: 'brokers',
        namespace: brokerNamespaceOf(trigger),
        name: brokerOf(trigger),
      },
      metadata.namespace ?? '',
      'brokerRef',
      context,
    )
  for (const name of Object.keys(spec.filter?.attributes ?? {}))
    if (!attributeName.test(name))
      yield invalidKeyName(
        name,
        'filter.attributes',
        'Attribute name must start with a letter and can only contain lowercase alphanumeric',
      )
  yield* via('filters', validateFilters(spec.filters ?? []))
  if (spec.subscriber) yield* via('subscriber', validateDestination(spec.subscriber, context))
  else yield missingField('subscriber')
  if (spec.delivery) yield* via('delivery', validateDelivery(spec.delivery, context))
}

function* validateAnnotations({ metadata, spec }: Trigger): Generator<FieldError> {
  const dependency = metadata.annotations?.[annotation.dependency]
  if (dependency !== undefined) yield* validateDependency(dependency, metadata.namespace ?? '')
  const injection = metadata.annotations?.[annotation.injection]
  if (injection === undefined) return
  if (injection !== 'enabled' && injection !== 'disabled')
    yield genericError(
      `The provided injection annotation value can only be "enabled" or "disabled", not "${injection}"`,
      `[${annotation.injection}]`,
    )
  if (spec?.broker !== 'default')
    yield genericError(
      `The provided injection annotation is only used for default broker, but non-default broker specified here: "${spec?.broker ?? ''}"`,
      `[${annotation.injection}]`,
    )
}

function* validateDependency(text: string, namespace: string): Generator<FieldError> {
  const at = `[${annotation.dependency}]`
  let reference: Readonly<Record<string, unknown>>
  try {
    reference = Object(JSON.parse(text)) as Readonly<Record<string, unknown>>
  } catch {
    yield genericError(`The provided annotation was not a corev1.ObjectReference: "${text}"`, at)
    return
  }
  if (reference['namespace'] && reference['namespace'] !== namespace)
    yield genericError(
      `Namespace must be empty or equal to the trigger namespace "${namespace}"`,
      at,
    )
  for (const field of ['kind', 'name', 'apiVersion'])
    if (!reference[field]) yield missingField(`${at}.${field}`)
}

export const triggerConditions = conditionSet({
  dependents: [
    'BrokerReady',
    'SubscriptionReady',
    'DependencyReady',
    'SubscriberResolved',
    'DeadLetterSinkResolved',
    'OIDCIdentityCreated',
  ],
})

export const Trigger: KindDefinition<Trigger> = {
  group: eventingGroup,
  version: 'v1',
  kind: 'Trigger',
  plural: 'triggers',
  singular: 'trigger',
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Sends those events of a Broker that a filter matches to a subscriber.',
  definition: { labels: definitionLabels.plain },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema: object({ spec: TriggerSpec, status: TriggerStatus }),
  versions: triggerVersions,
  columns: [
    {
      name: 'Broker',
      type: 'string',
      jsonPath: '.spec.broker',
      value: ({ spec }) => spec.broker,
    },
    {
      name: 'Subscriber_URI',
      type: 'string',
      jsonPath: '.status.subscriberUri',
      value: ({ status }) => status?.subscriberUri,
    },
    ageColumn,
    ...readyColumns,
  ],
}

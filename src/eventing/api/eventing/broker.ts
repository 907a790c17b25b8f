/** Broker: takes events in and hands them to Triggers (eventing.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import { missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { textOf, type Fields } from '../../../knative/old-form.ts'
import { statusFields } from '../../../knative/status.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { addressFields, ageColumn, policyFields, urlColumn } from '../duck/address-status.ts'
import { channelTemplateIn } from '../config/br-channel.ts'
import { brokerDefaults, configBrDefaults } from '../config/br-defaults.ts'
import { brokerVersions, legacyTemplate } from '../conversion/broker.ts'
import type { ChannelTemplate } from '../duck/channelable.ts'
import {
  DeliverySpec,
  deliveryIn,
  deliveryStatusFields,
  validateDelivery,
} from '../duck/delivery-spec.ts'
import { inNamespace, KReference, validateReference } from '../duck/destination.ts'
import { followingSubresources } from '../following.ts'
import { withMetadata, withUserInfo } from '../admission/metadata.ts'
import {
  definitionLabels,
  annotation,
  brokerClass,
  eventingGroup,
  systemNamespace,
  validationWebhook,
} from '../names.ts'
import { validateRetention } from '../duck/retention.ts'

export const BrokerSpec = object({ config: KReference, delivery: DeliverySpec })
export type BrokerSpec = Static<typeof BrokerSpec>

export const BrokerStatus = object({
  ...statusFields,
  ...addressFields,
  ...deliveryStatusFields,
  ...policyFields,
})
export type BrokerStatus = Static<typeof BrokerStatus>

export interface Broker extends KubeObject {
  readonly spec: BrokerSpec
  readonly status?: BrokerStatus
}

export const classOf = ({ metadata }: Broker): string =>
  metadata.annotations?.[annotation.brokerClass] ?? ''

function withDefaults(broker: Broker, context: AdmissionContext<Broker>): Broker {
  const { spec, metadata } = broker
  const { namespace = '' } = metadata
  const stored = context.read(ConfigMap, {
    namespace: systemNamespace,
    name: configBrDefaults.name,
  })
  const found = brokerDefaults(
    configBrDefaults.from(stored),
    namespace,
    metadata.annotations?.[annotation.brokerClass],
  )
  const config = spec?.config ?? found.config
  const { deadLetterSink, retry, backoffPolicy, backoffDelay } = found.delivery ?? {}
  const delivery =
    spec?.delivery ??
    (found.delivery && {
      ...(deadLetterSink && { deadLetterSink }),
      ...(retry !== undefined && { retry }),
      ...(backoffPolicy !== undefined && { backoffPolicy }),
      ...(backoffDelay !== undefined && { backoffDelay }),
    })
  return withMetadata(
    {
      ...broker,
      spec: {
        ...spec,
        ...(config && { config: inNamespace(config, namespace) }),
        ...(delivery && { delivery: deliveryIn(delivery, namespace) }),
      },
    },
    { annotations: { [annotation.brokerClass]: found.brokerClass } },
  )
}

/** One that was made in an old form keeps its channel template when it is applied as today's, which says nothing of it. */
const withTemplateOf = (old: Broker, sent: Broker): Broker =>
  legacyTemplate(old) && old.spec.config && !sent.spec?.config
    ? { ...sent, spec: { ...sent.spec, config: old.spec.config } }
    : sent

/** One of today, or made by a label, keeps its configuration when an old form asks for the kind of channels that it names. */
function withConfigOf(old: Broker, sent: Broker, context: AdmissionContext<Broker>): Broker {
  const asked = legacyTemplate(sent)
  const { config } = old.spec
  if (!asked || !config || legacyTemplate(old)) return sent
  const { namespace = '', name = '' } = config
  const stored = context.read(ConfigMap, { namespace, name })
  const template = stored && channelTemplateIn(stored)
  if (!template || 'problem' in template || !isSameKind(template, asked)) return sent
  const { [annotation.legacyTemplate]: _, ...annotations } = sent.metadata.annotations ?? {}
  return { ...sent, metadata: { ...sent.metadata, annotations }, spec: { ...sent.spec, config } }
}

const isSameKind = (template: ChannelTemplate, { apiVersion, kind }: Fields): boolean =>
  template.kind === kind && groupOf(template.apiVersion) === groupOf(apiVersion)

const groupOf = (apiVersion: unknown): string => textOf(apiVersion).split('/', 1)[0] ?? ''

function defaults(sent: Broker, context: AdmissionContext<Broker>): Broker {
  const { old } = context
  const kept = old ? withConfigOf(old, withTemplateOf(old, sent), context) : sent
  const broker = withDefaults(kept, context)
  const changed = !old || !sameJson(broker.spec, old.spec)
  return withUserInfo(broker, eventingGroup, context, changed)
}

function* validate(broker: Broker, context: AdmissionContext<Broker>): Generator<FieldError> {
  const { spec } = broker
  const { old } = context
  const ofClass = classOf(broker)
  if (!ofClass) yield missingField(annotation.brokerClass)
  if (!old && ofClass && ofClass !== brokerClass.multiTenant)
    context.warn(
      `nothing here serves Brokers of class ${ofClass}, so its status stays empty; ${brokerClass.multiTenant} is served`,
    )
  yield* validateRetention(broker.metadata)
  yield* via('spec', validateSpec(broker, context))
  if (!old) return
  if (!sameJson(withoutDelivery(old.spec), withoutDelivery(spec)))
    yield {
      message: 'Immutable fields changed (-old +new)',
      paths: ['spec'],
      details: difference(withoutDelivery(old.spec), withoutDelivery(spec)),
    }
  if (classOf(old) !== classOf(broker))
    yield {
      message: 'Immutable annotations changed (-old +new)',
      paths: ['annotations'],
      details: difference(classOf(old), classOf(broker)),
    }
}

function* validateSpec(
  { spec, metadata }: Broker,
  context: AdmissionContext<Broker>,
): Generator<FieldError> {
  const { namespace = '' } = metadata
  if (spec.config) {
    const { cluster, namespaces } = configBrDefaults.from(
      context.read(ConfigMap, { namespace: systemNamespace, name: configBrDefaults.name }),
    )
    const strict =
      cluster.disallowDifferentNamespaceConfig ||
      namespaces[namespace]?.disallowDifferentNamespaceConfig === true
    yield* via('config', validateReference(spec.config, strict ? { namespace } : {}))
  }
  if (spec.delivery) yield* via('delivery', validateDelivery(spec.delivery, context))
}

const withoutDelivery = (spec: BrokerSpec): unknown => ({ ...spec, delivery: undefined })

const difference = (before: unknown, after: unknown): string =>
  `-: ${JSON.stringify(before)}\n+: ${JSON.stringify(after)}`

export const brokerConditions = conditionSet({
  dependents: [
    'IngressReady',
    'TriggerChannelReady',
    'FilterReady',
    'Addressable',
    'EventPoliciesReady',
  ],
})

export const Broker: KindDefinition<Broker> = {
  group: eventingGroup,
  version: 'v1',
  kind: 'Broker',
  plural: 'brokers',
  singular: 'broker',
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  subresources: followingSubresources,
  description: 'Takes events in, keeps them on disk and hands them to Triggers.',
  definition: { labels: definitionLabels.addressable },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema: object({ spec: BrokerSpec, status: BrokerStatus }),
  versions: brokerVersions,
  columns: [
    urlColumn,
    ageColumn,
    ...readyColumns,
    {
      name: 'Class',
      type: 'string',
      priority: 1,
      jsonPath: '.metadata.annotations.eventing\\.knative\\.dev/broker\\.class',
      value: ({ metadata }) => metadata.annotations?.[annotation.brokerClass],
    },
  ],
}

/**
 * Broker and Trigger of 2019 and 2020, eventing.knative.dev/v1alpha1 and v1beta1: a channel template in the Broker
 * instead of a ConfigMap, `sourceAndType` instead of attributes.
 */
import { missingField, multipleOneOf } from '../../../knative/field-error.ts'
import {
  fieldsOf,
  isFields,
  isPatched,
  listOf,
  partsOf,
  textOf,
  without,
  type Fields,
} from '../../../knative/old-form.ts'
import type { ServedVersion } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { annotation, brokerClass, eventingGroup as group } from '../names.ts'
import { destinationOf, mapped, refuse, withAnnotations } from './destination.ts'
import { oldVersion } from './old-version.ts'

/** The ConfigMap that an old Broker's channel template lives in; its controller makes it. */
export const legacyConfigName = (broker: string): string => `${broker}-legacy-config`

/** The class of 0.14, which ours has taken the place of. */
const formerClass = 'ChannelBasedBroker'

/** What provisioners are channel kinds of now. */
const provisioned: Readonly<Record<string, Fields>> = {
  'in-memory-channel': { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' },
  'in-memory': { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' },
  kafka: { apiVersion: 'messaging.knative.dev/v1beta1', kind: 'KafkaChannel' },
  natss: { apiVersion: 'messaging.knative.dev/v1alpha1', kind: 'NatsJetStreamChannel' },
}

/** The channel kind that a provisioner of 2019 has become. */
export const provisionedBy = (name: string): Fields | undefined =>
  Object.hasOwn(provisioned, name) ? provisioned[name] : undefined

function templateOf(spec: Fields): Fields | undefined {
  const { channelTemplateSpec, channelTemplate } = spec
  if (channelTemplateSpec !== undefined && channelTemplateSpec !== null)
    return completeTemplate(channelTemplateSpec)
  if (!isFields(channelTemplate)) return undefined
  return provisionedBy(textOf(fieldsOf(channelTemplate['provisioner'])['name']))
}

/** Refuses a template that names no kind. */
function completeTemplate(template: unknown): Fields {
  const fields = fieldsOf(template)
  const missing = ['apiVersion', 'kind'].filter((name) => !textOf(fields[name]))
  if (missing.length > 0)
    refuse([missingField(...missing.map((name) => `spec.channelTemplateSpec.${name}`))])
  return fields
}

const brokerVersion = (version: string): ServedVersion =>
  oldVersion({
    group,
    version,
    kind: 'Broker',
    toSpec: (spec) => without(spec, 'channelTemplateSpec', 'channelTemplate'),
    toStorage(converted, sent) {
      const template = templateOf(partsOf(sent).spec)
      const wasFormer = sent.metadata.annotations?.[annotation.brokerClass] === formerClass
      const { name, namespace = '' } = sent.metadata
      const { spec } = partsOf(converted)
      const annotated = withAnnotations(converted, {
        [annotation.legacyAddress]: 'true',
        ...(template && { [annotation.legacyTemplate]: JSON.stringify(template) }),
        ...(wasFormer && { [annotation.brokerClass]: brokerClass.multiTenant }),
      })
      if (!template) return annotated
      const config = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        name: legacyConfigName(name),
        namespace,
      }
      return { ...annotated, spec: { ...spec, config } } as KubeObject
    },
    fromStorage(stored) {
      const template = legacyTemplate(stored)
      const converted = withAnnotations(stored, { [annotation.legacyAddress]: undefined })
      if (!template) return converted
      const { spec } = partsOf(converted)
      return {
        ...withAnnotations(converted, { [annotation.legacyTemplate]: undefined }),
        spec: { ...without(spec, 'config'), channelTemplateSpec: template },
      } as KubeObject
    },
    fromStatus: withOldConditions({
      IngressChannelReady: 'TriggerChannelReady',
      IngressSubscriptionReady: 'IngressReady',
    }),
    toStatus: withoutConditions('IngressChannelReady', 'IngressSubscriptionReady'),
  })

/** The template of a Broker that was made in an old form. */
export function legacyTemplate({ metadata }: KubeObject): Fields | undefined {
  const text = metadata.annotations?.[annotation.legacyTemplate]
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

export const brokerVersions: readonly ServedVersion[] = [
  brokerVersion('v1beta1'),
  brokerVersion('v1alpha1'),
]

function triggerSpec(spec: Fields, patched: boolean): Fields {
  const filter = fieldsOf(spec['filter'])
  const { sourceAndType, attributes } = filter
  if (isFields(sourceAndType) && isFields(attributes) && !patched)
    refuse([multipleOneOf('spec.filter.attributes', 'spec.filter.sourceAndType')])
  const rest = without(filter, 'sourceAndType')
  const isAny = (value: unknown) => textOf(value) === '' || textOf(value) === 'Any'
  const asked = Object.fromEntries(
    Object.entries(fieldsOf(sourceAndType)).filter(([, value]) => !isAny(value)),
  )
  return mapped(
    {
      ...spec,
      broker: textOf(spec['broker']) || 'default',
      ...(isFields(sourceAndType) && {
        filter: { ...rest, ...(Object.keys(asked).length > 0 && { attributes: asked }) },
      }),
    },
    { subscriber: (value) => destinationOf(value, 'spec.subscriber', patched) },
  )
}

const triggerVersion = (version: string): ServedVersion =>
  oldVersion({
    group,
    version,
    kind: 'Trigger',
    toSpec: triggerSpec,
    toStorage: (converted, sent) =>
      withAnnotations(converted, {
        ...(sent.metadata.annotations?.[annotation.formerInjection] === 'enabled' &&
          !isPatched(sent) && { [annotation.injection]: 'enabled' }),
      }),
    fromStatus: (status) => {
      const { subscriberUri } = status
      return withOldConditions({ Broker: 'BrokerReady', Subscribed: 'SubscriptionReady' })({
        ...status,
        ...(typeof subscriberUri === 'string' && { subscriberURI: subscriberUri }),
      })
    },
    toStatus: (status) =>
      withoutConditions('Broker', 'Subscribed')(without(status, 'subscriberURI')),
  })

export const triggerVersions: readonly ServedVersion[] = [
  triggerVersion('v1beta1'),
  triggerVersion('v1alpha1'),
]

/** Conditions under the names they had, beside those of today. */
function withOldConditions(names: Readonly<Record<string, string>>): (status: Fields) => Fields {
  return (status) => {
    const conditions = listOf(status['conditions'])
    if (conditions.length === 0) return status
    const more = Object.entries(names).flatMap(([type, today]) => {
      const found = conditions.find((each) => fieldsOf(each)['type'] === today)
      return found ? [{ ...fieldsOf(found), type }] : []
    })
    return { ...status, conditions: [...conditions, ...more] }
  }
}

function withoutConditions(...types: readonly string[]): (status: Fields) => Fields {
  return (status) =>
    status['conditions'] === undefined
      ? status
      : {
          ...status,
          conditions: listOf(status['conditions']).filter(
            (each) => !types.includes(textOf(fieldsOf(each)['type'])),
          ),
        }
}

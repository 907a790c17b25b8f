/**
 * Buses and their channels of 2018, channels.knative.dev: a bus was what a kind of channels is today. A Channel and a
 * Subscription become those of today; the bus `stub` is built in.
 */
import {
  genericError,
  missingOneOf,
  multipleOneOf,
  type FieldError,
} from '../../../knative/field-error.ts'
import { fieldsOf, listOf, textOf, type Fields } from '../../../knative/old-form.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { provisionedBy } from '../conversion/broker.ts'
import { Channel } from '../messaging/channel.ts'
import { Subscription } from '../messaging/subscription.ts'
import { messagingGroup } from '../names.ts'
import { fullHost, validateHost } from './dns-name.ts'
import { keptDefinition, type Fate, type KeptForm, type KeptKind } from './kept-kind.ts'
import { legacyKind } from './legacy-kind.ts'

const group = 'channels.knative.dev'
const categories = ['knative', 'eventing'] as const

/** The Service of such a Channel: its address. */
export const formerChannelService = (channel: string): string => `${channel}-channel`

/** What that Service is, on its label `role`. */
export const formerChannelRole = 'former-channel'

export const formerChannelHost = (namespace: string, channel: string): string =>
  fullHost(formerChannelService(channel), namespace)

/** The channel kind that a bus has become; undefined = none. */
const channelKindOf = (bus: string): Fields | undefined =>
  provisionedBy(bus === 'stub' ? 'in-memory-channel' : bus)

const busOf = (spec: Fields): string => textOf(spec['bus']) || textOf(spec['clusterBus'])

function* validateChannel(spec: Fields, before?: Fields): Generator<FieldError> {
  const [own, shared] = [textOf(spec['bus']), textOf(spec['clusterBus'])]
  if (own && shared) yield multipleOneOf('spec.bus', 'spec.clusterBus')
  if (!own && !shared) yield missingOneOf('spec.bus', 'spec.clusterBus')
  for (const field of ['bus', 'clusterBus'])
    if (before && !sameJson(before[field], spec[field]))
      yield genericError('Immutable fields changed', `spec.${field}`)
}

function channelSpec(spec: Fields): Fields {
  const template = channelKindOf(busOf(spec))
  if (!template) return {}
  const given = listOf(spec['arguments'])
    .map(fieldsOf)
    .find((each) => each['name'] === 'NumPartitions')
  const partitions = Number(given?.['value'])
  const counted = template['kind'] === 'KafkaChannel' && Number.isInteger(partitions)
  return {
    channelTemplate: { ...template, ...(counted && { spec: { numPartitions: partitions } }) },
  }
}

export const BusChannel = legacyKind({
  group,
  kind: 'Channel',
  plural: 'channels',
  categories,
  successor: Channel,
  description: 'Predecessor of messaging.knative.dev Channel, on a bus.',
  convert: channelSpec,
  missing: validateChannel,
  remarks: (spec) =>
    busOf(spec) && !channelKindOf(busOf(spec))
      ? [`there is no bus "${busOf(spec)}" here: the channel is of the kind that is the default`]
      : [],
  conditions: {
    Provisioned: 'BackingChannelReady',
    Serviceable: 'Addressable',
    Routeable: 'Addressable',
  },
})

function* validateSubscription(spec: Fields): Generator<FieldError> {
  for (const field of ['channel', 'subscriber']) yield* validateHost(spec[field], `spec.${field}`)
  if (spec['replyTo'] !== undefined && spec['replyTo'] !== '')
    yield* validateHost(spec['replyTo'], 'spec.replyTo')
}

const channelNamed = (name: string) => ({
  apiVersion: `${messagingGroup}/v1`,
  kind: Channel.kind,
  name,
})

export const BusSubscription = legacyKind({
  group,
  kind: 'Subscription',
  plural: 'subscriptions',
  categories,
  successor: Subscription,
  description: 'Predecessor of messaging.knative.dev Subscription, on a bus.',
  convert(spec, _patched, namespace) {
    const replyTo = textOf(spec['replyTo'])
    // A channel, or (as clients of then wrote it) the name of its Service.
    const named = replyTo.endsWith('-channel') || replyTo.includes('.')
    const reply = named ? { uri: `http://${fullHost(replyTo, namespace)}/` } : undefined
    return {
      channel: channelNamed(textOf(spec['channel'])),
      subscriber: { uri: `http://${fullHost(textOf(spec['subscriber']), namespace)}/` },
      ...(replyTo && { reply: reply ?? { ref: channelNamed(replyTo) } }),
    }
  },
  missing: validateSubscription,
  conditions: { Dispatching: 'SubscriptionReady' },
})

const fateOfBus = (name: string): Fate =>
  channelKindOf(name)?.['kind'] === 'InMemoryChannel'
    ? { holds: ['Serviceable', 'Dispatching'] }
    : {
        advice: `nothing here runs the dispatcher of a bus of 2018: Channels that name "${name}" become ${messagingGroup}/v1 Channels${
          channelKindOf(name)
            ? ` of ${textOf(channelKindOf(name)?.['kind'])}, which is not served here`
            : ' of the default kind'
        }; name the bus "stub", or use ${messagingGroup}/v1 InMemoryChannel`,
      }

const bus = (form: Pick<KeptForm, 'kind' | 'plural' | 'namespaced'>): KeptKind => ({
  kind: keptDefinition({
    ...form,
    group,
    description: 'Predecessor of the kinds of channels.',
    instead: `a kind of ${messagingGroup}`,
  }),
  fateOf: ({ metadata }) => fateOfBus(metadata.name),
})

export const buses: readonly KeptKind[] = [
  bus({ kind: 'Bus', plural: 'buses' }),
  bus({ kind: 'ClusterBus', plural: 'clusterbuses', namespaced: false }),
]

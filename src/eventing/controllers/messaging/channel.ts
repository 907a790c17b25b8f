/**
 * Channel: makes a channel of the kind that its template names and repeats what that says (knative.dev/eventing
 * `pkg/reconciler/channel`).
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerOf, controllerRef, keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, type ConditionedObject } from '../../../knative/conditions.ts'
import {
  Channel,
  channelConditions as conditions,
  type ChannelStatus,
} from '../../api/messaging/channel.ts'
import type { InMemoryChannelStatus } from '../../api/messaging/in-memory-channel.ts'
import { annotation } from '../../api/names.ts'
import { handedOn } from '../../api/duck/retention.ts'
import { channelKinds, noChannelKind, templateKind } from './channel-kinds.ts'
import { complaint } from '../complaint.ts'
import {
  derivedPolicies,
  derivedWorld,
  type DerivedWorld,
} from '../authorization/derived-policies.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'

interface Backing extends ConditionedObject {
  readonly status?: InMemoryChannelStatus
}

export interface World {
  readonly channel: Channel
  readonly kind: Kind | undefined
  readonly backing: Backing | undefined
  readonly policies: Policies | undefined
  readonly derived: DerivedWorld
}

export const channelReconciler: Reconciler<Channel, World> = {
  name: 'channel-controller',
  kind: Channel,
  watches: [
    ...channelKinds.map((kind) => ({ kind, wake: 'owner' as const })),
    ...policyWatches(Channel),
  ],

  observe(channel, read) {
    const kind = templateKind(channel.spec.channelTemplate)
    return {
      channel,
      kind,
      backing: kind && (read.get(kind, keyOf(channel)) as Backing),
      policies: policiesFor(Channel, channel, read),
      derived: derivedWorld(Channel, channel, read),
    }
  },

  plan({ channel, kind, backing, policies, derived }, nowMs) {
    const { generation = 0, name } = channel.metadata
    const begun = conditions.begin(channel.status ?? {}, generation, nowMs)
    const done = (status: ChannelStatus) => finish(status, channel.status, generation, nowMs)
    const failed = (message: string) =>
      done(conditions.markFalse(begun, 'BackingChannelReady', 'ChannelFailure', message, nowMs))
    if (!kind) {
      const status = failed(noChannelKind(channel.spec.channelTemplate))
      const events = complaint(channel.status, status, 'BackingChannelReady', 'InternalError')
      return { status, events }
    }
    if (backing && controllerOf(backing)?.uid !== channel.metadata.uid)
      return {
        status: failed(`${kind.kind} "${name}" is not owned by Channel "${name}"`),
        error: new Error(`channel: "${name}" does not own ${kind.kind}: "${name}"`),
      }
    const copies = derivedPolicies(
      channel,
      {
        'messaging.knative.dev/channel-kind': kind.kind,
        'messaging.knative.dev/channel-name': name,
      },
      [{ kind, name }],
      derived,
    )
    return {
      apply: [applyBacking(channel, kind), ...copies.apply],
      delete: copies.delete,
      status: done(decide(begun, kind, channel, backing, policies, nowMs)),
    }
  },
}

function decide(
  begun: ChannelStatus,
  kind: Kind,
  { metadata }: Channel,
  backing: Backing | undefined,
  policies: Policies | undefined,
  nowMs: number,
): ChannelStatus {
  const { namespace = '', name } = metadata
  let status: ChannelStatus = {
    ...begun,
    channel: { apiVersion: apiVersionOf(kind), kind: kind.kind, name, namespace },
  }
  const ready = conditionOf(backing?.status, 'Ready')
  if (!ready)
    return conditions.markUnknown(
      status,
      'BackingChannelReady',
      'BackingChannelNotConfigured',
      'BackingChannel has not yet been reconciled.',
      nowMs,
    )
  status = conditions.mirror(status, 'BackingChannelReady', ready, nowMs)
  const { address: _address, addresses: _addresses, ...unaddressed } = status
  status = unaddressed
  const { address, addresses, subscribers } = backing?.status ?? {}
  const { deadLetterSinkUri, deadLetterSinkCACerts, deadLetterSinkAudience } = backing?.status ?? {}
  if (!address?.url)
    return conditions.markFalse(
      status,
      'Addressable',
      'EmptyHostname',
      'hostname is the empty string',
      nowMs,
    )
  status = conditions.markTrue({ ...status, address }, 'Addressable', nowMs)
  const {
    subscribers: _,
    deadLetterSinkUri: _uri,
    deadLetterSinkCACerts: _certificates,
    deadLetterSinkAudience: _audience,
    ...bare
  } = status
  status = {
    ...bare,
    ...(addresses && { addresses }),
    ...(subscribers && { subscribers }),
    ...(deadLetterSinkUri && { deadLetterSinkUri }),
    ...(deadLetterSinkCACerts && { deadLetterSinkCACerts }),
    ...(deadLetterSinkAudience && { deadLetterSinkAudience }),
  }
  status = conditions.mirror(
    status,
    'DeadLetterSinkResolved',
    conditionOf(backing?.status, 'DeadLetterSinkResolved'),
    nowMs,
  )
  return withPolicies(status, conditions, policies, nowMs)
}

/** Subscribers are the Subscriptions' affair. */
function applyBacking(channel: Channel, kind: Kind) {
  const { name, namespace = '' } = channel.metadata
  const { channelTemplate, delivery } = channel.spec
  const spec = { ...channelTemplate?.spec, ...(delivery && { delivery }) }
  const desired = {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: {
      name,
      namespace,
      annotations: handedOn({ [annotation.subscribable]: 'v1' }, channel.metadata),
      ownerReferences: [controllerRef(channel)],
    },
    spec,
  }
  return {
    kind,
    desired: desired as KubeObject,
    merge: (existing: KubeObject) => {
      const { subscribers } = (existing as { spec?: { subscribers?: unknown } }).spec ?? {}
      const { metadata } = existing
      const annotations = handedOn(metadata.annotations ?? {}, channel.metadata)
      return {
        ...existing,
        metadata: { ...metadata, annotations },
        spec: { ...spec, ...(subscribers !== undefined && { subscribers }) },
      }
    },
  }
}

/** All kinds of Knative Eventing, for the API server and the platform. */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { ApiServerSource } from './api-server-source.ts'
import { Broker } from './broker.ts'
import { Channel } from './channel.ts'
import { ContainerSource } from './container-source.ts'
import { EventTransform } from './event-transform.ts'
import { formerSourceKinds } from './former-sources.ts'
import { InMemoryChannel } from './in-memory-channel.ts'
import { JobSink } from './job-sink.ts'
import { PingSource } from './ping-source.ts'
import { SinkBinding } from './sink-binding.ts'
import { Subscription } from './subscription.ts'
import { EventPolicy } from './event-policy.ts'
import { EventType } from './event-type.ts'
import { ClusterChannelProvisioner, LegacyChannel, LegacySubscription } from './legacy-channel.ts'
import { legacyFlows } from './legacy-flow.ts'
import { Parallel } from './parallel.ts'
import { RequestReply } from './request-reply.ts'
import { Sequence } from './sequence.ts'
import { Trigger } from './trigger.ts'

/** A definition whose object type is forgotten: the API server only ever hands a kind its own objects. */
const erased = <T extends KubeObject>(kind: KindDefinition<T>): KindDefinition =>
  kind as unknown as KindDefinition

/** The group of a kind that comes first is what `kubectl get sequences` means: today's before those of the past. */
export const eventingKinds: readonly KindDefinition[] = [
  erased(Sequence),
  erased(Parallel),
  erased(Channel),
  erased(InMemoryChannel),
  erased(Subscription),
  ...legacyFlows.map(({ kind }) => erased(kind)),
  erased(Broker),
  erased(Trigger),
  ...[LegacyChannel, LegacySubscription].map(({ kind }) => erased(kind)),
  erased(ClusterChannelProvisioner),
  erased(EventType),
  erased(EventPolicy),
  erased(RequestReply),
  erased(PingSource),
  erased(ApiServerSource),
  erased(ContainerSource),
  erased(SinkBinding),
  erased(EventTransform),
  erased(JobSink),
  ...formerSourceKinds,
]

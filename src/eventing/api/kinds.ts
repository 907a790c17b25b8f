/** All kinds of Knative Eventing, for the API server and the platform. */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { ApiServerSource } from './sources/api-server-source.ts'
import { Broker } from './eventing/broker.ts'
import { Channel } from './messaging/channel.ts'
import { ContainerSource } from './sources/container-source.ts'
import { EventTransform } from './eventing/event-transform.ts'
import { BusChannel, buses, BusSubscription } from './former/buses.ts'
import { eventCatalogue } from './former/event-catalogue.ts'
import { feedKinds } from './former/feeds.ts'
import { formerSourceKinds } from './former/former-sources.ts'
import { InMemoryChannel } from './messaging/in-memory-channel.ts'
import { JobSink } from './sinks/job-sink.ts'
import { PingSource } from './sources/ping-source.ts'
import { SinkBinding } from './sources/sink-binding.ts'
import { Subscription } from './messaging/subscription.ts'
import { EventPolicy } from './eventing/event-policy.ts'
import { EventType } from './eventing/event-type.ts'
import {
  ClusterChannelProvisioner,
  LegacyChannel,
  LegacySubscription,
} from './former/legacy-channel.ts'
import { legacyFlows } from './former/legacy-flow.ts'
import { movedSources } from './former/moved-sources.ts'
import { Parallel } from './flows/parallel.ts'
import { RequestReply } from './eventing/request-reply.ts'
import { Sequence } from './flows/sequence.ts'
import { Trigger } from './eventing/trigger.ts'

/** A definition whose object type is forgotten: the API server only ever hands a kind its own objects. */
const erased = <T extends KubeObject>(kind: KindDefinition<T>): KindDefinition =>
  kind as unknown as KindDefinition

/** Of 2018, and of names that kinds had for months: few have any, so their controllers wait for the first. */
export const rareForms: readonly KindDefinition[] = [
  ...movedSources.map(({ kind }) => erased(kind)),
  ...[BusChannel, BusSubscription].map(({ kind }) => erased(kind)),
  ...[...buses, ...feedKinds, ...eventCatalogue].map(({ kind }) => erased(kind)),
]

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
  ...rareForms,
]

/** All kinds of Knative Eventing, for the API server and the platform. */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Broker } from './broker.ts'
import { Channel } from './channel.ts'
import { InMemoryChannel } from './in-memory-channel.ts'
import { Subscription } from './subscription.ts'
import { Trigger } from './trigger.ts'

/** A definition whose object type is forgotten: the API server only ever hands a kind its own objects. */
const erased = <T extends KubeObject>(kind: KindDefinition<T>): KindDefinition =>
  kind as unknown as KindDefinition

export const eventingKinds: readonly KindDefinition[] = [
  erased(Broker),
  erased(Trigger),
  erased(Channel),
  erased(InMemoryChannel),
  erased(Subscription),
]

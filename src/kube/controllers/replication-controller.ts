/** Keeps the pods of a ReplicationController: a ReplicaSet's work with a selector of plain labels. */
import type { Random } from '../../lib/random.ts'
import { Pod } from '../api/pod.ts'
import type { ReplicaSet } from '../api/replica-set.ts'
import { ReplicationController } from '../api/replication-controller.ts'
import type { Reconciler } from '../controller/reconciler.ts'
import { replicaSet } from './replica-set.ts'

type World = ReturnType<ReturnType<typeof replicaSet>['observe']>

export function replicationController(random: Random): Reconciler<ReplicationController, World> {
  const inner = replicaSet(random)
  return {
    name: 'replication-controller',
    kind: ReplicationController,
    watches: [{ kind: Pod, wake: 'owner' }],
    observe: (controller, read, nowMs) => inner.observe(asSet(controller), read, nowMs),
    plan: (world, nowMs) => inner.plan(world, nowMs),
  }
}

/** The same in the shape of a ReplicaSet; apiVersion and kind stay, so that its pods name their true owner. */
const asSet = ({ spec, ...controller }: ReplicationController): ReplicaSet =>
  ({
    ...controller,
    spec: { ...spec, selector: { matchLabels: spec.selector ?? {} } },
  }) as ReplicaSet

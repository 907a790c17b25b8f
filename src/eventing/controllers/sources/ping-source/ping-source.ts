/**
 * PingSource, and CronJobSource of 2019: where its events go, and whether the engine has its schedule
 * (knative.dev/eventing `pkg/reconciler/pingsource`). There is no adapter pod: the engine's process emits.
 */
import { conditionOf, finish } from '../../../../knative/conditions.ts'
import { createTracker } from '../../../../knative/tracker.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../../kube/api/meta.ts'
import type { PlannedEvent, Reconciler } from '../../../../kube/controller/reconciler.ts'
import { pingSourceConditions as conditions } from '../../../api/sources/ping-source.ts'
import { destinationIn } from '../../../api/duck/destination.ts'
import type { CloudEventAttributes, Source, SourceStatus } from '../../../api/duck/source-spec.ts'
import type { EngineLink } from '../../engine/engine-link.ts'
import { createServedKeys, engineNotReady, type EngineState } from '../../engine/served-keys.ts'
import {
  identityFor,
  identityWatches,
  identityWrites,
  withIdentity,
  type Identity,
} from '../../identity/identity.ts'
import { destinationKinds, resolve, targetOf, type Resolution } from '../../destination/resolver.ts'
import { sinkNotFound, withSink } from '../sink.ts'

export interface World {
  readonly source: Source
  readonly sink: Resolution
  readonly state: EngineState
  readonly identity: Identity
}

/** `emitted` says what the events of such a source are. */
export const pingSourceReconciler = <T extends Source>(
  kind: Kind<T>,
  emitted: (source: T) => CloudEventAttributes,
  link: EngineLink,
  /** Adds what such a source says besides. */
  besides: (status: SourceStatus, source: T, nowMs: number) => SourceStatus = (status) => status,
): Reconciler<T, World & { readonly source: T }> => {
  const tracker = createTracker()
  const served = createServedKeys(link)
  return {
    name: `${kind.kind.toLowerCase()}-controller`,
    kind,
    watches: [
      ...destinationKinds.map((each) => ({
        kind: each,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      ...identityWatches(kind),
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(source, read) {
      const key = keyOf(source)
      const sink = destinationIn(source.spec?.sink, key.namespace)
      tracker.track(key, targetOf(sink, key.namespace))
      return {
        source,
        sink: resolve(sink ?? {}, key.namespace, read),
        state: served.stateOf(key, source.metadata.uid ?? ''),
        identity: identityFor(kind, source, read),
      }
    },

    plan({ source, sink, state, identity }, nowMs) {
      const { generation = 0 } = source.metadata
      let status: SourceStatus = conditions.begin(source.status ?? {}, generation, nowMs)
      status = withSink(status, sink, conditions, nowMs)
      status = withIdentity(status, identity, conditions, nowMs)
      status = { ...status, ceAttributes: [emitted(source)] }
      const provided = conditionOf(status, 'SinkProvided')?.status === 'True'
      if (state === 'served' && provided) status = conditions.markTrue(status, 'Deployed', nowMs)
      else if (typeof state === 'object')
        status = conditions.markFalse(status, 'Deployed', 'InvalidSchedule', state.problem, nowMs)
      else if (provided)
        status = conditions.markUnknown(status, 'Deployed', ...engineNotReady, nowMs)
      status = besides(status, source, nowMs)
      return {
        ...identityWrites(identity),
        status: finish(status, source.status, generation, nowMs),
        events: [
          ...sinkNotFound(source.spec?.sink, sink, source.status),
          ...scheduled(source, status),
        ],
      }
    },

    gone(key) {
      tracker.forget(key)
      served.forget(key)
      return {}
    },

    connect: (wake) => served.connect(wake),
  }
}

/** What Knative's adapter tells of a source whose schedule it has, or leaves aside; once for each change. */
function scheduled(
  { metadata, status: before }: Source,
  after: SourceStatus,
): readonly PlannedEvent[] {
  const was = before?.observedGeneration === metadata.generation && before
  const isReady = isTrue(after, 'Deployed') && isTrue(after, 'SinkProvided')
  if (isReady && was && isTrue(was, 'Deployed') && isTrue(was, 'SinkProvided')) return []
  if (isReady) return [{ type: 'Normal', reason: 'PingSourceSynchronized', message: synchronized }]
  // While the engine takes it nobody has to be told.
  const aside = [after, was || {}].map(
    (status) => isFalse(status, 'Deployed') || isFalse(status, 'SinkProvided'),
  )
  if (!aside[0] || aside[1]) return []
  return [{ type: 'Normal', reason: 'PingSourceSkipped', message: 'PingSource is not ready' }]
}

const synchronized = 'PingSource adapter is synchronized'

const isTrue = (status: SourceStatus, type: string): boolean =>
  conditionOf(status, type)?.status === 'True'
const isFalse = (status: SourceStatus, type: string): boolean =>
  conditionOf(status, type)?.status === 'False'

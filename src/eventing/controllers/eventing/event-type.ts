/** EventType: says whether what it refers to is there (knative.dev/eventing `pkg/reconciler/eventtype`). */
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import type { KReference } from '../../api/duck/destination.ts'
import {
  EventType,
  eventTypeConditions as conditions,
  referenceOf,
  type EventTypeStatus,
} from '../../api/eventing/event-type.ts'
import { Subscription } from '../../api/messaging/subscription.ts'
import { Trigger } from '../../api/eventing/trigger.ts'
import { followedKinds } from '../destination/followed-kinds.ts'
import { referredKind } from '../destination/resolver.ts'

export interface World {
  readonly eventType: EventType
  readonly reference: KReference | undefined
  readonly kind: Kind | undefined
  readonly found: boolean
}

/** Answers pass through Triggers and Subscriptions: EventTypes may speak of these. */
const kinds: readonly Kind[] = [...followedKinds, Trigger, Subscription]

export const eventTypeReconciler = (): Reconciler<EventType, World> => {
  const tracker = createTracker()
  return {
    name: 'eventtype-controller',
    kind: EventType,
    watches: kinds.map((kind) => ({
      kind,
      wake: (changed: KubeObject) => tracker.observers(changed),
    })),
    customKinds: (changed) => tracker.observers(changed),

    observe(eventType, read) {
      const key = keyOf(eventType)
      const reference = referenceOf(eventType)
      const { namespace = key.namespace, name = '', kind: kindName = '' } = reference ?? {}
      tracker.track(key, reference ? [{ kind: kindName, namespace, name }] : [])
      const kind = reference && (referredKind(reference, kinds) ?? read.custom?.(reference))
      return {
        eventType,
        reference,
        kind,
        found: kind !== undefined && read.get(kind, { namespace, name }) !== undefined,
      }
    },

    plan(world, nowMs) {
      const { status, metadata } = world.eventType
      const { generation = 0 } = metadata
      const begun = conditions.begin(status ?? {}, generation, nowMs)
      return { status: finish(decide(world, begun, nowMs), status, generation, nowMs) }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

function decide(
  { reference, kind, found }: World,
  begun: EventTypeStatus,
  nowMs: number,
): EventTypeStatus {
  const type = 'ReferenceExists'
  if (!reference) return conditions.markTrueWithReason(begun, type, 'ReferenceNotSet', '', nowMs)
  const { apiVersion = '', kind: kindName = '', name = '' } = reference
  if (!kind)
    return conditions.markUnknown(
      begun,
      type,
      'ReferenceGetFailed',
      `objects of kind ${kindName} (${apiVersion}) are not followed here`,
      nowMs,
    )
  if (!found)
    return conditions.markFalse(
      begun,
      type,
      'ResourceDoesNotExist',
      `${kind.plural}${kind.group ? `.${kind.group}` : ''} "${name}" not found`,
      nowMs,
    )
  return conditions.markTrue(begun, type, nowMs)
}

/**
 * Bind, Feed and Flow of 2018: makes the objects of today where there is a source of their events, and repeats what
 * those say. Where there is none it makes nothing, and says so.
 */
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  conditionOf,
  conditionSet,
  finish,
  isObserved,
  type ConditionedObject,
} from '../../../knative/conditions.ts'
import { adviceFor, type FeedKind } from '../../api/former/feeds.ts'
import { legacyReason, type KeptObject } from '../../api/former/kept-kind.ts'
import { deletion } from '../flows/flow-objects.ts'
import { isPartOf, nameTaken, namesakeOf, successorApply } from './successor.ts'

export interface World {
  readonly feed: KeptObject
  /** What there is under its name, by kind. */
  readonly existing: ReadonlyMap<Kind, ConditionedObject>
}

export const feedReconciler = ({
  kind,
  kinds,
  partsOf,
  conditions: repeated,
}: FeedKind): Reconciler<KeptObject, World> => {
  const types = Object.keys(repeated)
  const conditions = conditionSet({ dependents: types })
  return {
    name: `legacy-${kind.kind.toLowerCase()}-controller`,
    kind,
    watches: kinds.map((each) => ({ kind: each, wake: namesakeOf(kind) })),
    observe: (feed, read) => ({
      feed,
      existing: new Map(
        kinds.flatMap((each) => {
          const found = read.get(each, keyOf(feed))
          return found ? [[each, found] as const] : []
        }),
      ),
    }),

    plan({ feed, existing }, nowMs) {
      const { generation = 0, name } = feed.metadata
      let status = conditions.begin(feed.status ?? {}, generation, nowMs)
      const finished = () => finish(status, feed.status, generation, nowMs)
      const all = (mark: 'markUnknown' | 'markFalse', reason: string, message: string) => {
        for (const type of types) status = conditions[mark](status, type, reason, message, nowMs)
      }
      const parts = partsOf(feed)
      if (!parts) {
        all('markUnknown', legacyReason, adviceFor(feed))
        const ours = [...existing].filter(
          ([, each]) => isPartOf(each, feed) && !each.metadata.deletionTimestamp,
        )
        return { delete: ours.map(([each, made]) => deletion(each, made)), status: finished() }
      }
      const [taken] = [...existing].find(([, each]) => !isPartOf(each, feed)) ?? []
      if (taken) {
        all('markFalse', 'NameTaken', nameTaken(taken, name))
        return { status: finished() }
      }
      for (const [type, { of, condition }] of Object.entries(repeated)) {
        const part = existing.get(of)
        const said = part && isObserved(part) ? conditionOf(part.status, condition) : undefined
        status = said
          ? conditions.mirror(status, type, said, nowMs)
          : conditions.markUnknown(
              status,
              type,
              'NotYetReconciled',
              `the ${of.kind} of today is being made`,
              nowMs,
            )
      }
      return {
        apply: parts.map((each) => successorApply({ kind, object: feed }, each.kind, each.spec)),
        status: finished(),
        statusOnFailure({ message }) {
          all('markFalse', 'NotTaken', message)
          return finished()
        },
      }
    },
  }
}

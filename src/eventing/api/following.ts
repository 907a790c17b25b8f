/**
 * Subresources of what takes events in: following them (`get`) and sending them again (`create`). Not Knative's; answered
 * by the event engine, under the roles of the object (docs/guide/events.md).
 */
import type { OwnSubresource } from '../../kube/api/kind.ts'

export const looks = ['events', 'tail', 'ways', 'trace', 'dead-letters', 'backlog'] as const
export const acts = ['replay', 'redrive'] as const

export const followingSubresources: readonly OwnSubresource[] = [
  ...looks.map((name) => ({ name, verbs: ['get'] })),
  ...acts.map((name) => ({ name, verbs: ['create'] })),
]

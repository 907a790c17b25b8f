/** Kinds whose objects others may point at without sending them anything: sources, and everything with an address. */
import { groupKind, type Kind } from '../../../kube/api/kind.ts'
import { eventingKinds } from '../../api/kinds.ts'
import { movedSources } from '../../api/former/moved-sources.ts'
import { addressableKinds } from './resolver.ts'

/** Groups of sources, of today and before. */
const isSourceGroup = (group: string): boolean =>
  group === 'sources.knative.dev' || group === 'sources.eventing.knative.dev'

/** These become others, and it is those that tell what they send. */
const movedKinds: readonly Kind[] = movedSources.map(({ kind }) => kind as unknown as Kind)

export const sourceKinds: readonly Kind[] = eventingKinds.filter(
  (kind) => isSourceGroup(kind.group) && !movedKinds.some((each) => each === kind),
)

/** Each once. */
export const followedKinds: readonly Kind[] = [
  ...new Map(
    [...addressableKinds, ...sourceKinds, ...movedKinds].map((kind) => [groupKind(kind), kind]),
  ).values(),
]

/** Kinds whose objects others may point at without sending them anything: sources, and everything with an address. */
import { groupKind, type Kind } from '../../../kube/api/kind.ts'
import { eventingKinds } from '../../api/kinds.ts'
import { addressableKinds } from './resolver.ts'

/** Groups of sources, of today and before. */
const isSourceGroup = (group: string): boolean =>
  group === 'sources.knative.dev' || group === 'sources.eventing.knative.dev'

export const sourceKinds: readonly Kind[] = eventingKinds.filter(({ group }) =>
  isSourceGroup(group),
)

/** Each once. */
export const followedKinds: readonly Kind[] = [
  ...new Map([...addressableKinds, ...sourceKinds].map((kind) => [groupKind(kind), kind])).values(),
]

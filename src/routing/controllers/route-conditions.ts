/** What a route is told about itself: whether it is accepted, and whether everything that it names is there. */
import type { GatewayLink } from '../../serving/controllers/ingress/feed-client.ts'
import { bad, good, type Said } from './conditions.ts'
import type { Outcome } from './shared-hosts.ts'

/** True when the gateway routes by all hosts of the object as they are now. */
export const isAcknowledged = (
  { told }: Outcome,
  link: Pick<GatewayLink, 'acknowledged'>,
): boolean => told.every(({ key, hash }) => link.acknowledged(key, hash))

/** `done`: the gateway routes by it, or did so before for this generation. */
export function accepted({ refusals }: Pick<Outcome, 'refusals'>, done: boolean): Said {
  if (refusals.length > 0) return bad('Accepted', 'Conflicted', refusals.join('; '))
  return done
    ? good('Accepted', 'Accepted', 'the gateway routes by it')
    : {
        type: 'Accepted',
        status: 'Unknown',
        reason: 'Pending',
        message: 'the gateway has not confirmed it yet',
      }
}

export function resolvedRefs({ problems }: Pick<Outcome, 'problems'>): Said {
  const [first] = problems
  return first
    ? bad(
        'ResolvedRefs',
        first.reason,
        [...new Set(problems.map(({ message }) => message))].join('; '),
      )
    : good('ResolvedRefs', 'ResolvedRefs', 'everything that it names is there')
}

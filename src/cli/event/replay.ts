/** `ebb event replay`: events are sent again to one subscriber or URL, counted first. */
import { systemClock } from '../../lib/clock.ts'
import type { ReplayResult } from '../../eventing/broker/following/replay.ts'
import type { Selection } from '../../eventing/broker/following/selection.ts'
import { UsageError } from '../command.ts'
import { agreed, counting, sendAgain, told } from './resending.ts'
import { httpUrl } from './sending.ts'
import { countOf, selectionOf } from './selection.ts'
import { noMore, oneInlet, type Session } from './session.ts'

export async function replay(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { api, args } = session
  const limit = args.string('limit')
  const selection: Selection = {
    ...selectionOf(args, systemClock.now()),
    ...(limit !== undefined && { last: countOf(args, 'limit', 0) }),
  }
  const subscription = args.string('to-trigger')
  const url = args.string('to')
  if ((subscription === undefined) === (url === undefined))
    throw new UsageError('expected either --to-trigger NAME or --to URL')
  if (url !== undefined) httpUrl(url)
  const to = subscription === undefined ? { url: { url } } : { subscription }
  const inlet = await oneInlet(session)
  const body = { selection, to }
  const counted = await api.post<ReplayResult>(inlet, 'replay', { ...body, dryRun: true })
  const target = subscription ?? url ?? ''
  if (args.boolean('dry-run'))
    return told(
      session,
      counted,
      `${counting(counted.selected, 'event')} would be sent to ${target}`,
    )
  if (counted.selected === 0)
    throw new Error(
      `no event of ${inlet.name} is meant by these flags: nothing was sent; \`ebb event list\` shows what there is`,
    )
  if (!(await agreed(session, `Send ${counting(counted.selected, 'event')} to ${target}?`)))
    return 1
  return await sendAgain(session, {
    inlet,
    subresource: 'replay',
    body,
    count: counted.selected,
    words: ['event', 'sent'],
  })
}

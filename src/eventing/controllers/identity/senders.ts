/** Whose tokens the engine needs: the accounts of what it sends for, and the audiences they send to. */
import type { Destination, EngineConfig, SendingToken } from '../../broker/feed.ts'
import type { TokenWish, Tokens } from './tokens.ts'

/** `namespace/name` of an object's account, for a Destination; undefined = it has none. */
export const accountText = (
  namespace: string,
  auth: { readonly serviceAccountName?: string } | undefined,
): string | undefined =>
  auth?.serviceAccountName ? `${namespace}/${auth.serviceAccountName}` : undefined

function* destinationsOf({
  channels,
  pings = [],
  transforms = [],
  requestReplies = [],
}: EngineConfig): Generator<Destination | undefined> {
  for (const { subscriptions } of channels)
    for (const { subscriber, reply, deadLetter } of subscriptions) {
      yield subscriber
      if (reply !== 'channel') yield reply
      yield deadLetter
    }
  for (const { sink } of pings) yield sink
  for (const { sink } of transforms) yield sink
  for (const { broker } of requestReplies) yield broker
}

/** Each once. */
function wishesOf(config: EngineConfig): ReadonlyMap<string, TokenWish> {
  const wishes = new Map<string, TokenWish>()
  for (const destination of destinationsOf(config)) {
    const { account, audience } = destination ?? {}
    if (account === undefined || audience === undefined) continue
    const [namespace = '', name = ''] = account.split('/')
    wishes.set(`${account} ${audience}`, { account: { namespace, name }, audience })
  }
  return wishes
}

/** Resolves when each token that this configuration asks for is there or could not be had. */
export async function tokensFor(
  config: EngineConfig,
  tokens: Pick<Tokens, 'of' | 'ready'>,
): Promise<readonly SendingToken[]> {
  const wishes = [...wishesOf(config).values()]
  await tokens.ready(wishes)
  return wishes.flatMap(({ account, audience }) => {
    const token = tokens.of({ account, audience })
    const { namespace, name } = account
    return token === undefined ? [] : [{ account: `${namespace}/${name}`, audience, token }]
  })
}

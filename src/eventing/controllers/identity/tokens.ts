/**
 * Tokens that events are sent with: asked of the API server by TokenRequest, kept in memory, and asked for again at
 * half of their life (knative.dev/eventing `pkg/auth/token_provider.go`). So each always has half an hour left, and an
 * event engine whose control plane is away can go on with what it was given. They are never written down, and never
 * told of in a log.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import { ServiceAccount } from '../../../kube/api/service-account.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'

/** Whose token, for whom. */
export interface TokenWish {
  readonly account: ObjectKey
  readonly audience: string
}

export interface IssuedToken {
  readonly token: string
  /** Unix milliseconds. */
  readonly expiresMs: number
}

export interface Tokens extends Disposable {
  /** Undefined = there is none yet; it is asked for, and `onChange` tells. */
  of(wish: TokenWish): string | undefined
  /** Resolves when each of them is there or could not be had. */
  ready(wishes: readonly TokenWish[]): Promise<void>
  /** Calls back when a token came, or is due to be replaced: whoever needs one asks for it. */
  onChange(listener: () => void): Disposable
}

export interface TokensOptions {
  readonly clock: Clock
  readonly log: Log
  /** ServiceAccounts are read. */
  readonly read: Pick<Reader, 'get'>
  /** A TokenRequest; rejects when it is refused. */
  readonly request: (wish: TokenWish, seconds: number) => Promise<IssuedToken>
}

const lifeSeconds = 3_600
/** One that was refused is asked for again so much later. */
const againMs = 5_000
/** The wall clock is looked at so often: a machine that slept, or whose clock was set, has other times than its alarms. */
const lookMs = 5_000
/** One that was set back by more has tokens that are not valid yet. */
const setBackMs = 5_000
/** More senders and audiences than that have no token at all: nobody has them. */
const capacity = 100_000

interface Entry {
  /** Of the account it is of: one that was made anew is another. */
  readonly uid: string
  issued?: IssuedToken
  /** When it is to be asked for again. */
  dueMs: number
  asking?: Promise<void>
}

export function createTokens({ clock, log, read, request }: TokensOptions): Tokens {
  const entries = new Map<string, Entry>()
  const listeners = new Set<() => void>()
  let closed = false
  let cancel = () => {}
  let armedMs = Infinity

  const tell = () => {
    for (const listener of listeners) listener()
  }
  let seenMs = -Infinity
  const look = () => {
    cancel()
    if (closed || armedMs === Infinity) return
    seenMs = clock.now()
    cancel = clock.after(Math.max(Math.min(armedMs - seenMs, lookMs), 0), () => {
      const nowMs = clock.now()
      const isSetBack = nowMs < seenMs - setBackMs
      if (nowMs < armedMs && !isSetBack) return look()
      armedMs = Infinity
      for (const [key, entry] of entries) {
        const { issued, asking } = entry
        // Nobody has asked for it for half of its life.
        if (!asking && issued && issued.expiresMs <= nowMs) entries.delete(key)
        else if (isSetBack) entry.dueMs = -Infinity
      }
      tell()
      for (const { dueMs: next } of entries.values()) if (next > nowMs) arm(next)
    })
  }
  /** One alarm for all: at the first that is due. */
  const arm = (dueMs: number) => {
    if (closed || dueMs >= armedMs) return
    armedMs = dueMs
    look()
  }
  const ask = async (entry: Entry, wish: TokenWish) => {
    try {
      entry.issued = await request(wish, lifeSeconds)
      entry.dueMs = clock.now() + (entry.issued.expiresMs - clock.now()) / 2
    } catch (error) {
      entry.dueMs = clock.now() + againMs
      const { account, audience } = wish
      log.info('a token for sending events can not be had', {
        account: keyText(account),
        audience,
        error,
      })
    } finally {
      delete entry.asking
      arm(entry.dueMs)
    }
    if (!closed) tell()
  }
  const entryOf = (wish: TokenWish): Entry | undefined => {
    const uid = read.get(ServiceAccount, wish.account)?.metadata.uid
    if (uid === undefined || closed) return undefined
    const key = `${keyText(wish.account)} ${wish.audience}`
    let entry = entries.get(key)
    if (!entry || entry.uid !== uid) {
      if (entries.size >= capacity) return undefined
      entries.set(key, (entry = { uid, dueMs: -Infinity }))
    }
    if (!entry.asking && entry.dueMs <= clock.now()) entry.asking = ask(entry, wish)
    return entry
  }
  const usable = ({ issued }: Entry): string | undefined =>
    issued && issued.expiresMs > clock.now() ? issued.token : undefined

  return {
    of(wish) {
      const entry = entryOf(wish)
      return entry && usable(entry)
    },
    async ready(wishes) {
      const missing = wishes.map(entryOf).filter((entry) => entry && usable(entry) === undefined)
      await Promise.all(missing.flatMap((entry) => entry?.asking ?? []))
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
    [Symbol.dispose]() {
      closed = true
      cancel()
      entries.clear()
    },
  }
}

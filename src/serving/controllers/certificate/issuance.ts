/**
 * Gets certificates signed, in the background: by the platform's own authority at once, by an ACME authority within
 * seconds to minutes. A Certificate asks each time it is observed: the first time starts the work, news wakes it. Failures
 * are tried again with back-off for as long as somebody asks. What was signed goes into a Secret; nothing is kept here.
 */
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { AcmeConfig } from '../../api/config/acme.ts'

/** PEM texts. */
export interface Signed {
  /** Leaf first. */
  readonly chain: string
  readonly privateKey: string
  /** Of a private authority: what clients have to trust. */
  readonly ca?: string
}

/** The platform's own authority. */
export interface LocalAuthority {
  /** Its own certificate, PEM; undefined while it is not known yet. What another signed is signed anew. */
  readonly ca?: string | undefined
  /** A certificate for these names, valid from now on. */
  sign(names: readonly string[]): Promise<Signed>
}

/** A request by which the authority sees who holds a name: `GET http://<host>/.well-known/acme-challenge/<token>`. */
export interface PendingChallenge {
  readonly host: string
  readonly token: string
}

export interface AcmeOrder {
  readonly names: readonly string[]
  readonly settings: AcmeConfig
  /** Tells which challenges are being answered now. */
  readonly onChallenges: (pending: readonly PendingChallenge[]) => void
}

export interface AcmeIssuer {
  /** Rejects with a `Refusal` when it makes no sense to ask again soon. */
  sign(order: AcmeOrder): Promise<Signed>
}

/** Why an authority did not sign. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  /** Asked again not before; undefined = as the back-off says. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterMs = retryAfterMs
  }
}

export type Issuer =
  | { readonly kind: 'local' }
  | { readonly kind: 'acme'; readonly settings: AcmeConfig }

export type Issue =
  | { readonly kind: 'pending'; readonly challenges: readonly PendingChallenge[] }
  | { readonly kind: 'signed'; readonly signed: Signed }
  | {
      readonly kind: 'failed'
      readonly message: string
      /** The authority said no, rather than nothing. */
      readonly refused: boolean
      readonly retryAtMs: number
    }

export interface IssueRequest {
  readonly key: ObjectKey
  readonly uid: string
  readonly names: readonly string[]
  readonly issuer: Issuer
}

export interface Issuance {
  /** Certificate of the platform's own authority, PEM, once it is known. */
  readonly localCA: string | undefined
  /** How far it is. Starts what is not under way. */
  look(request: IssueRequest): Issue
  /** The Certificate has what it wanted, or is gone. */
  forget(key: ObjectKey): void
  onChange(listener: (key: ObjectKey) => void): Disposable
}

export interface IssuanceOptions {
  readonly clock: Clock
  readonly local: LocalAuthority
  readonly acme: AcmeIssuer
}

/** Let's Encrypt allows five failed validations an hour for a name: 0, 2, 6, 14, 30 and 62 minutes stay below. */
const firstAcmeRetryMs = 120_000
const longestAcmeRetryMs = 6 * 3_600_000
const firstLocalRetryMs = 1000
const longestLocalRetryMs = 60_000
/** Orders under way at one time; the others wait their turn. */
const workers = 4

interface Search {
  readonly key: ObjectKey
  /** What it is for: another request takes its place. */
  readonly subject: string
  answer: Issue
  failures: number
  running: boolean
}

export function createIssuance({ clock, local, acme }: IssuanceOptions): Issuance {
  const searches = new Map<string, Search>()
  const listeners = new Set<(key: ObjectKey) => void>()
  const waiting: (() => void)[] = []
  let active = 0

  const announce = (search: Search) => {
    if (searches.get(keyText(search.key)) !== search) return
    for (const listener of listeners) listener(search.key)
  }
  const turn = async <T>(work: () => Promise<T>): Promise<T> => {
    if (active >= workers) await new Promise<void>((resolve) => waiting.push(resolve))
    else active++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else active--
    }
  }

  const run = async (search: Search, { names, issuer }: IssueRequest) => {
    search.running = true
    try {
      const signed = await turn(() =>
        issuer.kind === 'local'
          ? local.sign(names)
          : acme.sign({
              names,
              settings: issuer.settings,
              onChallenges(challenges) {
                search.answer = { kind: 'pending', challenges }
                announce(search)
              },
            }),
      )
      search.answer = { kind: 'signed', signed }
      search.failures = 0
    } catch (error) {
      const [first, longest] =
        issuer.kind === 'local'
          ? [firstLocalRetryMs, longestLocalRetryMs]
          : [firstAcmeRetryMs, longestAcmeRetryMs]
      const backOffMs = Math.min(first * 2 ** search.failures, longest)
      const refused = error instanceof Refusal
      const delayMs = Math.max(backOffMs, (refused && error.retryAfterMs) || 0)
      search.failures += 1
      search.answer = {
        kind: 'failed',
        message: error instanceof Error ? error.message : String(error),
        refused,
        retryAtMs: clock.now() + delayMs,
      }
    }
    search.running = false
    announce(search)
  }

  return {
    get localCA() {
      return local.ca
    },
    look(request) {
      const id = keyText(request.key)
      const subject = JSON.stringify([request.uid, request.names, request.issuer])
      let search = searches.get(id)
      if (search?.subject !== subject) {
        search = {
          key: request.key,
          subject,
          answer: { kind: 'pending', challenges: [] },
          failures: 0,
          running: false,
        }
        searches.set(id, search)
      }
      const { answer } = search
      const due =
        answer.kind === 'pending' || (answer.kind === 'failed' && answer.retryAtMs <= clock.now())
      if (due && !search.running) void run(search, request)
      return answer
    },
    forget: (key) => void searches.delete(keyText(key)),
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
  }
}

/**
 * Whose tokens are believed, for the engine: what the discovery document at `oidc-discovery-base-url` leads to
 * (knative.dev/eventing `pkg/auth/verifier.go`). The API server of this platform is not asked over the network: its
 * keys are known. Others are asked again every few minutes, as keys are replaced, and what they said last holds while
 * they do not answer.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { TokenIssuer } from '../../broker/feed.ts'

export interface Issuers extends Disposable {
  /** Undefined = not known yet: nobody is believed until it is. */
  of(baseUrl: string): TokenIssuer | undefined
  onChange(listener: () => void): Disposable
}

export interface IssuersOptions {
  readonly clock: Clock
  readonly log: Log
  /** The platform's own. */
  readonly own: () => TokenIssuer
  /** Answers the JSON at a URL; rejects for everything else. */
  readonly load: (url: string) => Promise<unknown>
}

const againMs = 300_000
const afterFailureMs = 10_000

export function createIssuers(options: IssuersOptions): Issuers {
  const { clock, log, load } = options
  let ours: TokenIssuer | undefined
  const listeners = new Set<() => void>()
  let followed = ''
  let found: TokenIssuer | undefined
  let cancel = () => {}

  const look = async (baseUrl: string): Promise<void> => {
    let delayMs = againMs
    try {
      const next = await discover(baseUrl, load)
      if (baseUrl !== followed) return
      const changed = JSON.stringify(next) !== JSON.stringify(found)
      found = next
      if (changed) for (const listener of listeners) listener()
    } catch (error) {
      delayMs = afterFailureMs
      if (baseUrl !== followed) return
      log.error('the keys of the issuer of tokens can not be had: no new ones are believed', {
        'oidc-discovery-base-url': baseUrl,
        error,
      })
    }
    cancel = clock.after(delayMs, () => void look(baseUrl))
  }

  return {
    of(baseUrl) {
      const url = baseUrl.replace(/\/$/, '')
      const own = (ours ??= options.own())
      const isOwn = url === own.issuer.replace(/\/$/, '')
      if (url !== followed) {
        followed = url
        found = undefined
        cancel()
        if (!isOwn) void look(url)
      }
      return isOwn ? own : found
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
    [Symbol.dispose]() {
      followed = ''
      cancel()
    },
  }
}

/** The issuer is whoever the document says, whatever the URL it lies at. */
async function discover(baseUrl: string, load: IssuersOptions['load']): Promise<TokenIssuer> {
  const document = fieldsOf(await load(`${baseUrl}/.well-known/openid-configuration`))
  const { issuer, jwks_uri: place } = document
  if (typeof issuer !== 'string' || typeof place !== 'string')
    throw new Error('its openid-configuration has no issuer or no jwks_uri')
  const { keys } = fieldsOf(await load(place))
  if (!Array.isArray(keys)) throw new Error(`${place} has no keys`)
  return { issuer, keys: keys.map(fieldsOf) }
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

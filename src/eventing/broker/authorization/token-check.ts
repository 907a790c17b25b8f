/**
 * Whether a token is one of the issuer's, of now, and for whom it is meant (RFC 7519). `jose` comes with the first
 * token; what a signature costs is paid once a token.
 */
import type { JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../../lib/clock.ts'
import type { TokenIssuer } from '../feed.ts'

export type Checked = { readonly subject: string } | { readonly problem: string }

export interface TokenCheck {
  /** From now on tokens of this issuer are believed; undefined = none. */
  trust(issuer: TokenIssuer | undefined): void
  /** Never rejects. */
  check(token: string, audience: string): Promise<Checked>
}

interface Known {
  readonly subject: string
  readonly audiences: readonly string[]
  readonly fromMs: number
  readonly untilMs: number
}

/** Tokens whose signature was checked already. */
const knownCapacity = 4096
/** Ours have some 1 kB. */
const maxTokenChars = 16 << 10
/** How much clocks may differ. */
const toleranceMs = 5_000

/** Asymmetric ones alone: a public key must never do as a secret. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA']

export function createTokenCheck(clock: Pick<Clock, 'now'>): TokenCheck {
  let issuer: TokenIssuer | undefined
  let text = ''
  let keys: Promise<JWTVerifyGetKey> | undefined
  let known = new Map<string, Known>()

  const verified = async (token: string): Promise<Known> => {
    const before = known.get(token)
    if (before) return before
    if (!issuer) throw new Error('it is not known yet whose tokens are to be believed')
    const { jwtVerify, createLocalJWKSet } = await import('jose')
    const trusted = issuer
    const set = (keys ??= Promise.resolve(
      createLocalJWKSet({ keys: trusted.keys.map((key) => ({ kty: '', ...key })) }),
    ))
    const { payload } = await jwtVerify(token, await set, {
      issuer: trusted.issuer,
      algorithms,
      currentDate: new Date(clock.now()),
      clockTolerance: toleranceMs / 1000,
      requiredClaims: ['exp', 'sub', 'aud'],
    })
    const { sub = '', aud = [], exp = 0, nbf = 0 } = payload
    const found = {
      subject: sub,
      audiences: Array.isArray(aud) ? aud : [aud],
      fromMs: nbf * 1000,
      untilMs: exp * 1000,
    }
    if (issuer !== trusted) return found
    if (known.size >= knownCapacity) {
      const [oldest] = known.keys()
      if (oldest !== undefined) known.delete(oldest)
    }
    known.set(token, found)
    return found
  }

  return {
    trust(next) {
      const nextText = JSON.stringify(next ?? null)
      if (nextText === text) return
      text = nextText
      issuer = next
      keys = undefined
      known = new Map()
    },
    async check(token, audience) {
      if (token.length > maxTokenChars)
        return { problem: `the token has more than ${maxTokenChars} characters` }
      try {
        const { subject, audiences, fromMs, untilMs } = await verified(token)
        const nowMs = clock.now()
        if (nowMs >= untilMs + toleranceMs) return { problem: 'the token has expired' }
        if (nowMs < fromMs - toleranceMs) return { problem: 'the token does not hold yet' }
        if (!audiences.includes(audience))
          return {
            problem: `the token is meant for ${audiences.join(', ')}, expected ${audience}`,
          }
        return { subject }
      } catch (error) {
        return {
          problem: `the token is not believed: ${error instanceof Error ? error.message : 'unknown'}`,
        }
      }
    },
  }
}

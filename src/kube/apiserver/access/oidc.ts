/**
 * Tokens of an identity provider (OpenID Connect, as kube-apiserver's `--oidc-*` flags): its keys are fetched when the
 * first token comes, kept, and asked for again when a token names one that is not known, but never in a hurry. `jose`
 * is loaded with the first token.
 */
import { request as httpsRequest } from 'node:https'
import type { JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { UserInfo } from '../../api/kind.ts'
import { fieldsOf, isRecord, type Fields } from '../values.ts'
import type { TokenAuthenticator } from './authentication.ts'

export interface OidcOptions {
  /** `https://…`, as the tokens' `iss` says it. */
  readonly issuerUrl: string
  /** Tokens must be for it. */
  readonly clientId: string
  /** Default `sub`. */
  readonly usernameClaim?: string
  /** Default: the issuer and `#`, but nothing for `email`; `-` = nothing. */
  readonly usernamePrefix?: string
  readonly groupsClaim?: string
  readonly groupsPrefix?: string
  /** Claims that must have these values. */
  readonly requiredClaims?: Readonly<Record<string, string>>
  /** Default RS256. */
  readonly signingAlgorithms?: readonly string[]
  /** PEM of the authorities of the provider's certificate; default: those that Node trusts. */
  readonly ca?: string
}

export interface OidcDeps {
  readonly clock: Clock
  readonly log: Log
  /** Answers the JSON at a URL. Default: over HTTPS, within limits. */
  readonly fetchJson?: (url: string) => Promise<unknown>
}

type FindKey = JWTVerifyGetKey

const asymmetric = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']
/** Keys are asked for at most so often, whatever tokens come. */
const betweenFetchesMs = 10_000
/** Keys older than that are asked for again with the next token. */
const keysLastMs = 15 * 60_000
const maxDocumentBytes = 1024 * 1024
const fetchTimeoutMs = 10_000
const maxGroups = 2000

/** Throws for options that nobody could use. */
export function oidcAuthenticator(options: OidcOptions, deps: OidcDeps): TokenAuthenticator {
  const { issuerUrl, clientId, usernameClaim = 'sub', groupsClaim } = options
  const { clock, log } = deps
  const url = URL.parse(issuerUrl)
  if (url?.protocol !== 'https:' || url.search !== '' || url.hash !== '')
    throw new Error(
      `--oidc-issuer-url: expected an https:// URL without a query, found "${issuerUrl}"`,
    )
  if (clientId === '') throw new Error('--oidc-client-id: expected with --oidc-issuer-url')
  const algorithms = options.signingAlgorithms ?? ['RS256']
  const wrong = algorithms.find((each) => !asymmetric.includes(each))
  if (wrong !== undefined)
    throw new Error(
      `--oidc-signing-algs: expected some of ${asymmetric.join(', ')}, found "${wrong}"`,
    )
  const prefix = prefixOf(options.usernamePrefix, usernameClaim, issuerUrl)
  const fetchJson = deps.fetchJson ?? ((address: string) => fetched(address, options.ca, clock))
  let keys: { readonly find: FindKey; readonly atMs: number } | undefined
  let lastTryMs = -Infinity
  let fetching: Promise<void> | undefined

  async function fetchKeys(): Promise<void> {
    lastTryMs = clock.monotonic()
    try {
      const { createLocalJWKSet } = await import('jose')
      const base = issuerUrl.replace(/\/$/, '')
      const found = fieldsOf(await fetchJson(`${base}/.well-known/openid-configuration`))
      if (found['issuer'] !== issuerUrl)
        throw new Error(`the provider calls itself ${JSON.stringify(found['issuer'])}`)
      const uri = found['jwks_uri']
      if (typeof uri !== 'string') throw new Error('the provider names no jwks_uri')
      const set = await fetchJson(uri)
      if (!isRecord(set) || !Array.isArray(set['keys'])) throw new Error('no keys at jwks_uri')
      // Keys are made ready for use once. Their own shape is checked by jose.
      const find = createLocalJWKSet(set as unknown as Parameters<typeof createLocalJWKSet>[0])
      keys = { find, atMs: clock.monotonic() }
    } catch (error) {
      log.error('the keys of the identity provider could not be fetched', { issuerUrl, error })
    }
  }

  /** Keys not older than allowed, if there are any. One fetch at a time. */
  async function keyFinder(fresh: boolean): Promise<FindKey | undefined> {
    const stale = !keys || fresh || clock.monotonic() - keys.atMs > keysLastMs
    if (stale && (fetching || clock.monotonic() - lastTryMs >= betweenFetchesMs)) {
      fetching ??= fetchKeys().finally(() => (fetching = undefined))
      await fetching
    }
    return keys?.find
  }

  async function claimsOf(token: string): Promise<Fields | undefined> {
    const { errors, jwtVerify } = await import('jose')
    for (const fresh of [false, true]) {
      const find = await keyFinder(fresh)
      if (!find) return undefined
      try {
        const { payload } = await jwtVerify(token, find, {
          issuer: issuerUrl,
          audience: clientId,
          algorithms: [...algorithms],
          currentDate: new Date(clock.now()),
          requiredClaims: ['exp'],
        })
        return payload
      } catch (error) {
        // The provider may have a new key.
        if (error instanceof errors.JWKSNoMatchingKey && !fresh) continue
        log.debug('a token of the identity provider is not believed', { error })
        return undefined
      }
    }
    return undefined
  }

  function userOf(claims: Fields): UserInfo | undefined {
    const name = claims[usernameClaim]
    if (typeof name !== 'string' || name === '') return undefined
    if (usernameClaim === 'email' && claims['email_verified'] === false) return undefined
    for (const [claim, value] of Object.entries(options.requiredClaims ?? {}))
      if (claims[claim] !== value) return undefined
    const found = groupsClaim === undefined ? [] : claims[groupsClaim]
    const groups = [found ?? []].flat().filter((each) => typeof each === 'string')
    if (groups.length > maxGroups) return undefined
    return {
      username: `${prefix}${name}`,
      groups: groups.map((each) => `${options.groupsPrefix ?? ''}${each}`),
      ...(typeof claims['jti'] === 'string' && {
        extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims['jti']}`] },
      }),
    }
  }

  return {
    isOurs: ({ claims }) => claims['iss'] === issuerUrl,
    async user(token) {
      const claims = await claimsOf(token)
      const user = claims && userOf(claims)
      // Nobody outside says who belongs to the platform itself.
      return user && !user.username.startsWith('system:') ? withoutOwnGroups(user) : undefined
    },
  }
}

const withoutOwnGroups = (user: UserInfo): UserInfo => ({
  ...user,
  groups: user.groups.filter((group) => !group.startsWith('system:')),
})

function prefixOf(prefix: string | undefined, claim: string, issuer: string): string {
  if (prefix === '-') return ''
  if (prefix !== undefined) return prefix
  return claim === 'email' ? '' : `${issuer}#`
}

/** A JSON document over HTTPS, of bounded size and time. */
function fetched(url: string, ca: string | undefined, clock: Clock): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { agent: false, ...(ca !== undefined && { ca }) })
    const cancel = clock.after(fetchTimeoutMs, () =>
      request.destroy(new Error(`no answer of ${url} within ${fetchTimeoutMs} ms`)),
    )
    request.on('close', cancel).on('error', reject)
    request.on('response', (response) => {
      let size = 0
      const chunks: Buffer[] = []
      response.on('error', reject).on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxDocumentBytes)
          request.destroy(new Error(`${url} is longer than ${maxDocumentBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('end', () => {
        try {
          if (response.statusCode !== 200)
            throw new Error(`${url} answered ${response.statusCode ?? 'nothing'}`)
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
    request.end()
  })
}

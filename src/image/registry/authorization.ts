/**
 * Answers a registry's challenge: Basic, or a Bearer token fetched from where it says (distribution's token
 * specification, with the OAuth 2 form for refresh tokens). Tokens are kept until shortly before they expire.
 */
import type { Clock } from '../../lib/clock.ts'
import type { Credential } from './credentials.ts'
import { isLoopback } from './endpoints.ts'
import { readBody, type HttpClient } from './http.ts'
import { printable, refusalText, RegistryError } from './registry-error.ts'

export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}

export interface Authorizer {
  /** What to send without being asked, from an earlier answer. */
  known(place: Place): string | undefined
  /** The header that answers the challenge. Throws RegistryError `denied` when there is none. */
  answer(place: Place, header: string | undefined, signal?: AbortSignal): Promise<string>
}

export interface Place {
  /** `https://registry.example.com`. */
  readonly origin: string
  readonly repository: string
  readonly credential: Credential | undefined
}

const maxTokenBytes = 1 << 20
/** What the specification says of an answer that does not say. */
const defaultLifeMs = 60_000
const maxKept = 1000

/** Reads WWW-Authenticate: schemes with parameters, several in one header (RFC 9110 11.6.1). Bad text reads as nothing. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = []
  const part =
    /\s*,?\s*(?:([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))|([\w!#$%&'*+.^`|~-]+)(?=\s|$|,))/y
  const text = header.slice(0, 8192)
  while (part.lastIndex < text.length) {
    const match = part.exec(text)
    if (!match) break
    const [, key, quoted, plain, scheme] = match
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} })
    else if (key !== undefined) {
      const last = challenges.at(-1)
      if (last)
        last.parameters[key.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? ''
    }
  }
  return challenges
}

export function createAuthorizer({
  http,
  clock,
}: {
  readonly http: HttpClient
  readonly clock: Clock
}): Authorizer {
  const kept = new Map<string, { readonly header: string; readonly untilMs: number }>()
  const keyOf = ({ origin, repository, credential }: Place) =>
    JSON.stringify([origin, repository, credential])
  const keep = (place: Place, header: string, lifeMs: number) => {
    if (kept.size >= maxKept) kept.clear()
    kept.set(keyOf(place), { header, untilMs: clock.monotonic() + lifeMs })
    return header
  }

  return {
    known(place) {
      const found = kept.get(keyOf(place))
      return found && found.untilMs > clock.monotonic() ? found.header : undefined
    },

    async answer(place, header, signal) {
      const { credential, origin } = place
      kept.delete(keyOf(place))
      const challenges = parseChallenges(header ?? '')
      const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
      if (bearer && credential?.registryToken !== undefined)
        return keep(place, `Bearer ${credential.registryToken}`, defaultLifeMs)
      if (bearer) {
        const { token, lifeMs } = await fetchToken(place, bearer.parameters, signal)
        return keep(place, `Bearer ${token}`, lifeMs)
      }
      if (challenges.some(({ scheme }) => scheme === 'basic')) {
        const basic = basicOf(credential)
        if (basic !== undefined) return keep(place, basic, Number.POSITIVE_INFINITY)
        throw new RegistryError('denied', `${new URL(origin).host} asks for a user and password`, {
          status: 401,
        })
      }
      throw new RegistryError(
        'denied',
        `${new URL(origin).host} answered 401 and names no way to authenticate that is known here ` +
          `(Basic, Bearer): ${printable(header ?? 'no WWW-Authenticate')}`,
        { status: 401 },
      )
    },
  }

  async function fetchToken(
    { origin, repository, credential }: Place,
    { realm = '', service, scope = `repository:${repository}:pull` }: Challenge['parameters'],
    signal: AbortSignal | undefined,
  ): Promise<{ token: string; lifeMs: number }> {
    const { host, protocol } = new URL(origin)
    const url = URL.parse(realm)
    const isLocal = isLoopback(host) && url !== null && isLoopback(url.host)
    const isPlain = url?.protocol === 'http:' && (protocol === 'http:' || isLocal)
    if (!url || (url.protocol !== 'https:' && !isPlain))
      throw new RegistryError(
        'invalid',
        `${host} asks for a token from "${printable(realm)}"; expected an https URL`,
      )
    const refresh = credential?.identityToken
    const query = refresh === undefined ? url.searchParams : new URLSearchParams()
    if (service !== undefined) query.set('service', service)
    query.set('scope', scope)
    if (refresh !== undefined) {
      query.set('grant_type', 'refresh_token')
      query.set('client_id', 'ebb')
      query.set('refresh_token', refresh)
    }
    const basic = basicOf(credential)
    const answer = await http.send({
      method: refresh === undefined ? 'GET' : 'POST',
      url: url.href,
      headers: {
        accept: 'application/json',
        ...(refresh !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...(refresh === undefined && basic !== undefined && { authorization: basic }),
      },
      ...(refresh !== undefined && { body: query.toString() }),
      signal,
    })
    const body = (await readBody(answer, maxTokenBytes)).toString('utf8')
    if (answer.status !== 200) {
      const said = refusalText(body)
      const busy = answer.status === 429 || answer.status >= 500
      throw new RegistryError(
        busy ? 'busy' : 'denied',
        `${url.host}, which gives tokens for ${host}, answered ${answer.status}${said && ` (${said})`}`,
        { status: answer.status },
      )
    }
    return tokenOf(body, url.host)
  }
}

function basicOf(credential: Credential | undefined): string | undefined {
  const { username, password } = credential ?? {}
  if (username === undefined || password === undefined) return undefined
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function tokenOf(body: string, host: string): { token: string; lifeMs: number } {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    value = undefined
  }
  const { token, access_token, expires_in } = Object(value) as Readonly<Record<string, unknown>>
  const found = typeof token === 'string' && token !== '' ? token : access_token
  // Whatever is in it becomes a header.
  if (typeof found !== 'string' || !/^[\x21-\x7E]+$/.test(found))
    throw new RegistryError('invalid', `${host} answered 200 without a token`)
  const lifeMs =
    typeof expires_in === 'number' && expires_in > 0 ? expires_in * 1000 : defaultLifeMs
  return { token: found, lifeMs: lifeMs * 0.9 }
}

/**
 * Asks one registry for one repository (distribution-spec 1.1: pulling manifests and blobs), as one somebody or nobody.
 * Challenges are answered, an origin that can't be spoken to gives way to the next, refusals become RegistryErrors.
 */
import { createHash } from 'node:crypto'
import type { Descriptor } from '../content-store.ts'
import { indexTypes, manifestTypes, maxManifestBytes, readDocument } from '../manifest.ts'
import type { Authorizer } from './authorization.ts'
import type { Credential } from './credentials.ts'
import type { Endpoint } from './endpoints.ts'
import { readBody, type HttpAnswer, type HttpClient } from './http.ts'
import { isCertificateProblem, printable, refusalText, RegistryError } from './registry-error.ts'

export interface FetchedManifest {
  readonly bytes: Buffer
  /** As the registry called it. */
  readonly mediaType: string
  readonly digest: string
}

export interface Session {
  readonly endpoint: Endpoint
  /** By tag or digest; the digest is that of the bytes, and the one asked for. */
  manifest(tagOrDigest: string, signal?: AbortSignal): Promise<FetchedManifest>
  /** The digest a tag has now; undefined when the registry does not say without sending the manifest. */
  digestOf(tag: string, signal?: AbortSignal): Promise<string | undefined>
  /** A blob from `offset` on: status 200 (from the start after all) or 206. */
  blob(digest: string, offset: number, signal?: AbortSignal): Promise<HttpAnswer>
  /** Manifests that speak about this one; none when the registry knows of none. */
  referrers(digest: string, signal?: AbortSignal): Promise<readonly Descriptor[]>
}

export interface SessionDeps {
  readonly http: HttpClient
  readonly authorizer: Authorizer
  /** Origins that answered, by host: the next session begins with them. */
  readonly origins: Map<string, string>
}

const maxRefusalBytes = 64 << 10
const accept = [...manifestTypes, ...indexTypes].join(', ')
export const digestPattern = /^sha256:[a-f0-9]{64}$/

export function openSession(
  endpoint: Endpoint,
  credential: Credential | undefined,
  { http, authorizer, origins }: SessionDeps,
): Session {
  const { repository } = endpoint

  const ask = async (
    method: 'GET' | 'HEAD',
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> => {
    const found = origins.get(endpoint.host)
    const known = found !== undefined && endpoint.origins.includes(found) ? found : undefined
    let last: unknown
    for (const origin of known === undefined ? endpoint.origins : [known]) {
      try {
        const answer = await authorized(origin, method, path, headers, signal)
        origins.set(endpoint.host, origin)
        return answer
      } catch (error) {
        last = error
        const other = error instanceof RegistryError && error.problem === 'unreachable'
        if (!other || isCertificateProblem(error.cause) || signal?.aborted) throw error
      }
    }
    if (known !== undefined) origins.delete(endpoint.host)
    throw last
  }

  const authorized = async (
    origin: string,
    method: 'GET' | 'HEAD',
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> => {
    const place = { origin, repository, credential }
    const send = (authorization: string | undefined) =>
      http.send({
        method,
        url: `${origin}/v2/${repository}/${path}`,
        headers: { ...headers, ...(authorization !== undefined && { authorization }) },
        signal,
      })
    const answer = await send(authorizer.known(place))
    if (answer.status !== 401) return answer
    answer.discard()
    const header = answer.headers['www-authenticate']
    return await send(await authorizer.answer(place, header, signal))
  }

  return {
    endpoint,

    async manifest(tagOrDigest, signal) {
      const answer = await ask('GET', `manifests/${tagOrDigest}`, { accept }, signal)
      if (answer.status !== 200) throw await refused(answer, 'manifest')
      const mediaType = answer.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? ''
      if (mediaType === 'text/html') {
        answer.discard()
        throw new RegistryError(
          'invalid',
          `${answer.host} answered a web page instead of a manifest; is it a registry?`,
        )
      }
      const promised = Number(answer.headers['content-length'] ?? 0)
      if (promised > maxManifestBytes) {
        answer.discard()
        throw new RegistryError(
          'invalid',
          `${answer.host} sends a manifest of ${promised} bytes; at most ${maxManifestBytes} are read`,
        )
      }
      const bytes = await readBody(answer, maxManifestBytes)
      const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
      const said = answer.headers['docker-content-digest']
      const expected = digestPattern.test(tagOrDigest) ? tagOrDigest : said
      if (expected !== undefined && expected !== digest && digestPattern.test(String(expected)))
        throw new RegistryError(
          'invalid',
          `${answer.host} sent a manifest with the digest ${digest} instead of ${String(expected)}`,
        )
      return { bytes, mediaType, digest }
    },

    async digestOf(tag, signal) {
      const answer = await ask('HEAD', `manifests/${tag}`, { accept }, signal)
      answer.discard()
      // Some registries know no HEAD, or forbid it; a refusal has no body here that says why.
      if (answer.status !== 200) return undefined
      const said = answer.headers['docker-content-digest']
      return typeof said === 'string' && digestPattern.test(said) ? said : undefined
    },

    async blob(digest, offset, signal) {
      const range = offset > 0 ? { range: `bytes=${offset}-` } : {}
      const answer = await ask('GET', `blobs/${digest}`, range, signal)
      if (answer.status === 200 || answer.status === 206) return answer
      if (answer.status === 416 && offset > 0) {
        answer.discard()
        return await this.blob(digest, 0, signal)
      }
      throw await refused(answer, 'blob')
    },

    async referrers(digest, signal) {
      let answer = await ask('GET', `referrers/${digest}`, { accept: indexTypes[0] }, signal)
      if (answer.status === 404 || answer.status === 405) {
        answer.discard()
        const tag = digest.replace(':', '-')
        answer = await ask('GET', `manifests/${tag}`, { accept: indexTypes[0] }, signal)
      }
      if (answer.status === 404) {
        answer.discard()
        return []
      }
      if (answer.status !== 200) throw await refused(answer, 'referrers')
      const bytes = await readBody(answer, maxManifestBytes)
      try {
        const { kind, needs } = readDocument(bytes)
        return kind === 'index' ? needs : []
      } catch (error) {
        throw new RegistryError('invalid', `${answer.host}: list of referrers: ${String(error)}`)
      }
    },
  }
}

/** Reads what a refusal says. */
async function refused(answer: HttpAnswer, what: string): Promise<RegistryError> {
  const { status, host } = answer
  let said = ''
  try {
    said = refusalText((await readBody(answer, maxRefusalBytes)).toString('utf8'))
  } catch {
    // What it says beside the status is a courtesy.
  }
  const text = `${host} answered ${status} for the ${what}${said && ` (${printable(said)})`}`
  const retryAfterMs = retryAfter(answer.headers['retry-after'])
  if (status === 401 || status === 403) return new RegistryError('denied', text, { status })
  if (status === 404) return new RegistryError('missing', text, { status })
  if (status === 408 || status === 429 || status >= 500)
    return new RegistryError('busy', text, { status, retryAfterMs })
  return new RegistryError('invalid', text, { status })
}

/** Seconds only; dates are not worth a clock. */
const retryAfter = (header: string | undefined): number | undefined =>
  header !== undefined && /^\d{1,5}$/.test(header) ? Number(header) * 1000 : undefined

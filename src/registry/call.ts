/** One request to the embedded registry, and the names it gives to things. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ContentStore } from '../image/content-store.ts'
import { normalizeReference, parseReference } from '../image/reference.ts'
import { isLoopback } from '../image/registry/endpoints.ts'
import { Refusal } from './answers.ts'

export interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Host as the client called it: part of the names it gives. */
  readonly registry: string
  readonly repository: string
  readonly query: URLSearchParams
}

const digestPattern = /^sha256:[a-f0-9]{64}$/
export const isDigest = (text: string): boolean => digestPattern.test(text)

/** The only algorithm that the store knows. Throws Refusal. */
export function assertDigest(text: string): void {
  if (!isDigest(text))
    throw new Refusal(400, 'DIGEST_INVALID', `"${text.slice(0, 200)}" is no sha256 digest`)
}

/** Name in the content store. Throws InvalidReference for what is neither tag nor digest. */
export function nameOf({ registry, repository }: Call, reference: string): string {
  const separator = isDigest(reference) ? '@' : ':'
  return normalizeReference(`${registry}/${repository}${separator}${reference}`)
}

/** This machine has two names, and who pushes by one may deploy by the other. */
export function aliases(registry: string): readonly string[] {
  if (!isLoopback(registry)) return [registry]
  const port = /:\d+$/.exec(registry)?.[0] ?? ''
  return [...new Set([registry, `localhost${port}`, `127.0.0.1${port}`])]
}

/** The names that a repository has, by any name of this machine: reference and digest of the manifest. */
export async function namesOf(
  { registry, repository }: Call,
  store: ContentStore,
): Promise<readonly { readonly reference: string; readonly digest: string }[]> {
  const hosts = aliases(registry)
  return (await store.list()).filter(({ reference }) => {
    const name = parseReference(reference)
    return hosts.includes(name.registry) && name.repository === repository
  })
}

/** True when the client has it already and says so (RFC 9110 13.1.2). */
export const isKnownToClient = ({ request }: Call, etag: string): boolean =>
  (request.headers['if-none-match'] ?? '')
    .split(',')
    .some((tag) => tag.trim().replace(/^W\//, '') === etag)

/** What a registry, or the way to it, answered instead of what was asked for; in words for the one who deploys. */

export type RegistryProblem =
  /** No connection, a broken one, silence. */
  | 'unreachable'
  /** 5xx, 429: may be better later. */
  | 'busy'
  /** 401 and 403. */
  | 'denied'
  /** 404. */
  | 'missing'
  /** What came is not what a registry sends, or not what the digest promises. */
  | 'invalid'

export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly problem: RegistryProblem
  readonly status: number | undefined
  /** When the registry says it may be asked again. */
  readonly retryAfterMs: number | undefined

  constructor(
    problem: RegistryProblem,
    message: string,
    options: {
      readonly status?: number
      readonly retryAfterMs?: number | undefined
      readonly cause?: unknown
    } = {},
  ) {
    super(message, { cause: options.cause })
    this.problem = problem
    this.status = options.status
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Errors of connections in words; the codes are Node's. */
export function connectionProblem(error: unknown): string {
  const { code = '', message = String(error) } = Object(error) as {
    readonly code?: string
    readonly message?: string
  }
  const known: Readonly<Record<string, string>> = {
    ENOTFOUND: 'its name is not known',
    EAI_AGAIN: 'its name could not be looked up',
    ECONNREFUSED: 'connection refused',
    ECONNRESET: 'the connection was reset',
    EPIPE: 'the connection was closed',
    ETIMEDOUT: 'the connection timed out',
    ENETUNREACH: 'no route to it',
    EHOSTUNREACH: 'no route to it',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is of an unknown authority',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of an unknown authority',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of an unknown authority',
    CERT_HAS_EXPIRED: 'its certificate has expired',
    ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
    EPROTO: 'it does not speak TLS',
  }
  return known[code] ?? (message || code)
}

const certificateCodes = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

/** True when the other side is there, and its certificate is not trusted. */
export const isCertificateProblem = (error: unknown): boolean =>
  certificateCodes.has((Object(error) as { readonly code?: string }).code ?? '')

/** `MANIFEST_UNKNOWN: manifest unknown` out of the body of a refusal (distribution-spec, Error Codes); '' when there is none. */
export function refusalText(body: string): string {
  try {
    const value: unknown = JSON.parse(body)
    const { errors, details } = Object(value) as {
      readonly errors?: unknown
      readonly details?: unknown
    }
    const list = Array.isArray(errors) ? (errors as readonly unknown[]) : []
    const texts = list.slice(0, 3).flatMap((item) => {
      const { code, message } = Object(item) as {
        readonly code?: unknown
        readonly message?: unknown
      }
      const parts = [code, message].filter((part) => typeof part === 'string' && part !== '')
      return parts.length > 0 ? [parts.join(': ')] : []
    })
    if (texts.length > 0) return printable(texts.join('; '))
    return typeof details === 'string' ? printable(details) : ''
  } catch {
    return ''
  }
}

/** What a stranger sent, fit for a condition: one line, no control characters, at most 300 characters. */
export const printable = (text: string): string =>
  text
    .replaceAll(/[^\x20-\x7E\u00A0-\uFFFD]+/g, ' ')
    .trim()
    .slice(0, 300)

/** What an ACME server says went wrong (RFC 7807, RFC 8555 6.7). */
import type { AcmeResponse } from './transport.ts'

const prefix = 'urn:ietf:params:acme:error:'

/** Kinds of problem that asking again later may not meet. */
const passing: ReadonlySet<string> = new Set(['badNonce', 'serverInternal', 'orderNotReady', ''])

export class AcmeProblem extends Error {
  override readonly name = 'AcmeProblem'
  /** `rateLimited`, `badNonce`, `unauthorized`…; '' when the server named none. */
  readonly type: string
  readonly retryAfterMs: number | undefined

  constructor(type: string, message: string, retryAfterMs?: number) {
    super(message)
    this.type = type
    this.retryAfterMs = retryAfterMs
  }

  /** The server means it: the same request gets the same answer for some time. */
  get refused(): boolean {
    return !passing.has(this.type)
  }
}

/** The problem of an answer, or of the `error` member of an object. */
export function problemOf(value: unknown, context: string, retryAfterMs?: number): AcmeProblem {
  const { type, detail, subproblems } = Object(value) as Readonly<Record<string, unknown>>
  const kind = typeof type === 'string' && type.startsWith(prefix) ? type.slice(prefix.length) : ''
  const more = Array.isArray(subproblems)
    ? subproblems.map((one) => textOf((Object(one) as { detail?: unknown }).detail))
    : []
  const text = [textOf(detail), ...more].filter((part) => part !== '').join('; ')
  return new AcmeProblem(
    kind,
    `${context}: ${[kind, text].filter((part) => part !== '').join(': ') || 'no reason given'}`,
    retryAfterMs,
  )
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** `Retry-After`, in milliseconds from now: seconds or a date (RFC 9110 10.2.3). */
export function retryAfterMs(response: AcmeResponse, nowMs: number): number | undefined {
  const text = response.header('retry-after')
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

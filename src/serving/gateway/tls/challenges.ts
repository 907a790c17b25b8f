/**
 * Answers to the requests with which a certificate authority sees who holds a name (ACME HTTP-01, RFC 8555 8.3). They
 * go before all routes and redirects, and cost a comparison of a number while there are none.
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Answer } from '../exchange/outgoing-head.ts'
import { hostName } from '../routing/route-table.ts'

const path = '/.well-known/acme-challenge/'
/** Tokens kept at most; more are never under way at one time. */
const capacity = 10_000

export class Challenges {
  /** `host token` -> what to answer. */
  readonly #responses = new Map<string, string>()

  get size(): number {
    return this.#responses.size
  }

  /** `response` null: no more. */
  set(host: string, token: string, response: string | null): void {
    const key = `${host.toLowerCase()} ${token}`
    if (response === null) this.#responses.delete(key)
    else if (this.#responses.size < capacity) this.#responses.set(key, response)
  }

  clear(): void {
    this.#responses.clear()
  }

  /** Undefined: not for us, route it. */
  answer({ target, host }: RequestHead): Answer | undefined {
    if (!target.startsWith(path)) return undefined
    const response = this.#responses.get(`${hostName(host)} ${target.slice(path.length)}`)
    return response === undefined ? undefined : { status: 200, body: response }
  }
}

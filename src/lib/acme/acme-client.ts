/**
 * An ACME client (RFC 8555): account, orders, HTTP-01. It signs what it sends, keeps nonces, and waits as the server asks
 * to. What to answer on port 80, and when to try again after a failure, is its caller's business.
 */
import { sleep, type Clock } from '../clock.ts'
import { base64url, type AccountKey } from './account-key.ts'
import { AcmeProblem, problemOf, retryAfterMs } from './problem.ts'
import type { AcmeRequest, AcmeResponse, Transport } from './transport.ts'

export interface AcmeClientOptions {
  readonly directoryUrl: string
  readonly key: AccountKey
  /** For word of expiring certificates. */
  readonly email?: string | undefined
  readonly transport: Transport
  readonly clock: Clock
}

/** `GET http://<host>/.well-known/acme-challenge/<token>` is to be answered with `keyAuthorization`. */
export interface Http01 {
  readonly host: string
  readonly token: string
  readonly keyAuthorization: string
}

export interface OrderRequest {
  readonly names: readonly string[]
  /** PKCS#10 request for exactly these names, DER. */
  readonly csr: Uint8Array
  /** URL of an order for the same names that was begun before. */
  readonly order?: string | undefined
  /** Called when the order exists, so that another attempt can go on with it. */
  readonly onOrder?: (url: string) => void
  /** Called with everything that is to be answered, before the server is told to ask; `[]` = nothing more. */
  readonly onChallenges: (challenges: readonly Http01[]) => void
}

interface Directory {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
}

interface Order {
  readonly status: string
  readonly authorizations: readonly string[]
  readonly finalize: string
  readonly certificate?: string
  readonly error?: unknown
}

interface Authorization {
  readonly status: string
  readonly identifier: { readonly value: string }
  readonly challenges: readonly {
    readonly type: string
    readonly url: string
    readonly token?: string
    readonly error?: unknown
  }[]
}

/** A nonce may be stale for no fault of ours. */
const nonceAttempts = 5
const keptNonces = 16
const firstPollMs = 1000
const longestPollMs = 10_000
/** How long an authority may take to look. */
const pollLimitMs = 300_000

export class AcmeClient {
  readonly #options: AcmeClientOptions
  readonly #nonces: string[] = []
  #directory: Promise<Directory> | undefined
  #account: Promise<string> | undefined

  constructor(options: AcmeClientOptions) {
    this.#options = options
  }

  /** The certificate with its chain, PEM. Rejects with an AcmeProblem when the server refuses, else when it can't be had. */
  async obtain(request: OrderRequest): Promise<string> {
    const { url, order } = await this.#order(request)
    if (order.status === 'pending') await this.#authorize(order, request)
    let current = await this.#poll<Order>(url, ({ status }) => status !== 'pending')
    if (current.status === 'ready') {
      const finalized = { csr: base64url(request.csr) }
      await this.#post<Order>(current.finalize, finalized, `finalizing ${request.names.join()}`)
    }
    if (current.status === 'ready' || current.status === 'processing')
      current = await this.#poll<Order>(
        url,
        ({ status }) => !['ready', 'processing'].includes(status),
      )
    if (current.status !== 'valid' || !current.certificate)
      throw problemOf(current.error, `the order is ${current.status}`)
    const accept = 'application/pem-certificate-chain'
    const { body } = await this.#signed(current.certificate, undefined, 'the certificate', accept)
    return body
  }

  async #order({ names, order, onOrder }: OrderRequest): Promise<{ url: string; order: Order }> {
    if (order !== undefined) {
      const known = await this.#post<Order>(order, undefined, 'the order').catch(() => undefined)
      if (known && ['pending', 'ready', 'processing', 'valid'].includes(known.status))
        return { url: order, order: known }
    }
    const { newOrder } = await this.#directoryOf()
    const identifiers = names.map((value) => ({ type: 'dns', value }))
    const response = await this.#signed(newOrder, { identifiers }, `an order for ${names.join()}`)
    const url = response.header('location')
    if (url === undefined) throw new Error(`${newOrder} answers without the order's Location`)
    onOrder?.(url)
    return { url, order: json<Order>(response, newOrder) }
  }

  /** Proves every name that is not proved yet. */
  async #authorize(order: Order, { onChallenges }: OrderRequest): Promise<void> {
    const open: { readonly url: string; readonly ask: string; readonly challenge: Http01 }[] = []
    for (const url of order.authorizations) {
      const authorization = await this.#post<Authorization>(url, undefined, 'an authorization')
      if (authorization.status === 'valid') continue
      const host = authorization.identifier.value
      const offered = authorization.challenges.find(({ type }) => type === 'http-01')
      if (!offered?.token)
        throw new AcmeProblem('unsupported', `${host}: the authority does not offer HTTP-01`)
      const { token } = offered
      const keyAuthorization = `${token}.${this.#options.key.thumbprint}`
      open.push({ url, ask: offered.url, challenge: { host, token, keyAuthorization } })
    }
    onChallenges(open.map(({ challenge }) => challenge))
    try {
      for (const { ask, challenge } of open) await this.#post(ask, {}, challenge.host)
      for (const { url, challenge } of open) {
        const end = await this.#poll<Authorization>(url, ({ status }) => status !== 'pending')
        if (end.status === 'valid') continue
        const failed = end.challenges.find(({ error }) => error !== undefined)
        throw problemOf(failed?.error, `${challenge.host} is not proved (${end.status})`)
      }
    } finally {
      onChallenges([])
    }
  }

  /** Asks for an object until `done`, at the pace the server wants. */
  async #poll<T>(url: string, done: (value: T) => boolean): Promise<T> {
    const { clock } = this.#options
    const endMs = clock.monotonic() + pollLimitMs
    for (let delayMs = firstPollMs; ; delayMs = Math.min(delayMs * 1.5, longestPollMs)) {
      const response = await this.#signed(url, undefined, url)
      const value = json<T>(response, url)
      if (done(value)) return value
      const wishMs = Math.min(retryAfterMs(response, clock.now()) ?? delayMs, 60_000)
      if (clock.monotonic() + wishMs > endMs)
        throw new Error(`${url}: nothing came of it within ${pollLimitMs / 1000} s`)
      await sleep(clock, wishMs)
    }
  }

  async #post<T>(url: string, payload: unknown, context: string): Promise<T> {
    return json<T>(await this.#signed(url, payload, context), url)
  }

  /** A request in the account's name. An account that the server has forgotten is made again, once. */
  async #signed(
    url: string,
    payload: unknown,
    context: string,
    accept?: string,
  ): Promise<AcmeResponse> {
    try {
      return await this.#send(url, payload, await this.#accountOf(), context, accept)
    } catch (error) {
      if (!(error instanceof AcmeProblem) || error.type !== 'accountDoesNotExist') throw error
      this.#account = undefined
      return this.#send(url, payload, await this.#accountOf(), context, accept)
    }
  }

  async #send(
    url: string,
    payload: unknown,
    kid: string | undefined,
    context: string,
    accept?: string,
  ): Promise<AcmeResponse> {
    const { key, clock } = this.#options
    for (let attempt = 1; ; attempt++) {
      const nonce = this.#nonces.pop() ?? (await this.#nonce())
      const body = await key.sign({ url, nonce, kid, payload })
      const response = await this.#request({ method: 'POST', url, body, ...(accept && { accept }) })
      if (response.status < 400) return response
      const problem = problemOf(
        parsed(response.body),
        `${context} (HTTP ${response.status})`,
        retryAfterMs(response, clock.now()),
      )
      if (problem.type !== 'badNonce' || attempt >= nonceAttempts) throw problem
    }
  }

  async #request(request: AcmeRequest): Promise<AcmeResponse> {
    const response = await this.#options.transport(request)
    const nonce = response.header('replay-nonce')
    if (nonce !== undefined && this.#nonces.length < keptNonces) this.#nonces.push(nonce)
    return response
  }

  async #nonce(): Promise<string> {
    const { newNonce } = await this.#directoryOf()
    await this.#request({ method: 'HEAD', url: newNonce })
    const nonce = this.#nonces.pop()
    if (nonce === undefined) throw new Error(`${newNonce} answers without a nonce`)
    return nonce
  }

  #accountOf(): Promise<string> {
    this.#account ??= this.#newAccount().catch((error: unknown) => {
      this.#account = undefined
      throw error
    })
    return this.#account
  }

  /** Also finds the account that a key has already. */
  async #newAccount(): Promise<string> {
    const { email } = this.#options
    const { newAccount } = await this.#directoryOf()
    const payload = {
      termsOfServiceAgreed: true,
      ...(email !== undefined && { contact: [`mailto:${email}`] }),
    }
    const response = await this.#send(newAccount, payload, undefined, 'the account')
    const url = response.header('location')
    if (url === undefined) throw new Error(`${newAccount} answers without the account's Location`)
    return url
  }

  #directoryOf(): Promise<Directory> {
    this.#directory ??= this.#readDirectory().catch((error: unknown) => {
      this.#directory = undefined
      throw error
    })
    return this.#directory
  }

  async #readDirectory(): Promise<Directory> {
    const { directoryUrl } = this.#options
    const response = await this.#request({ method: 'GET', url: directoryUrl })
    const found = response.status === 200 ? (parsed(response.body) as Partial<Directory>) : {}
    const { newNonce, newAccount, newOrder } = Object(found) as Partial<Directory>
    if (!newNonce || !newAccount || !newOrder)
      throw new Error(
        `${directoryUrl} is no ACME directory (HTTP ${response.status}): expected JSON with newNonce, newAccount and newOrder`,
      )
    return { newNonce, newAccount, newOrder }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function json<T>(response: AcmeResponse, url: string): T {
  const value = parsed(response.body)
  if (typeof value !== 'object' || value === null)
    throw new Error(`${url}: expected a JSON object, found "${response.body.slice(0, 100)}"`)
  return value as T
}

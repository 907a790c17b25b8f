/**
 * Calls webhooks: a POST of JSON over TLS, to a URL or to a Service, with the certificate authority that its
 * configuration names. Bounded in time, in the size of answers, and in how many calls wait for one webhook: a webhook
 * that hangs delays those who ask it, and nobody else.
 */
import { isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import type { RequestOptions } from 'node:https'
import type { ClientConfig } from '../../api/webhook-problems.ts'
import type { Machinery } from '../machinery.ts'
import { randomUuid } from '../metadata.ts'
import { serviceAddress } from './service-address.ts'

export interface WebhookCall {
  readonly timeoutMs: number
  readonly body: unknown
  readonly userAgent: string
  /** `timeout=10s`, added to the address. */
  readonly query?: string
}

/** A call that came to no answer; the message says why, in Go's words where clients know them. */
export class WebhookFailure extends Error {}

const maxAnswerBytes = 16 * 1024 * 1024
const maxCallsEach = 200

export class WebhookCaller {
  readonly #machinery: Machinery
  /** Calls under way, by address. */
  readonly #calls = new Map<string, number>()

  constructor(machinery: Machinery) {
    this.#machinery = machinery
  }

  uid(): string {
    return randomUuid(this.#machinery.random)
  }

  /** The answer's JSON. Throws WebhookFailure. */
  async post(config: ClientConfig, call: WebhookCall): Promise<unknown> {
    const place = this.#place(config, call.query ?? '')
    const { url } = place
    const waiting = this.#calls.get(url.host) ?? 0
    if (waiting >= maxCallsEach)
      throw new WebhookFailure(
        `Post "${url.href}": ${waiting} requests wait for this webhook already`,
      )
    this.#calls.set(url.host, waiting + 1)
    try {
      return await this.#send(place, call)
    } finally {
      const left = (this.#calls.get(url.host) ?? 1) - 1
      if (left > 0) this.#calls.set(url.host, left)
      else this.#calls.delete(url.host)
    }
  }

  #place(config: ClientConfig, query: string): Place {
    const ca = config.caBundle
      ? { ca: Buffer.from(config.caBundle, 'base64').toString('utf8') }
      : {}
    if (config.url !== undefined) {
      const url = new URL(config.url)
      url.search = query
      return { url, ...ca }
    }
    const { service } = config
    if (!service) throw new WebhookFailure('the configuration names neither a url nor a service')
    const { name, namespace, port = 443, path = '' } = service
    const host = `${name}.${namespace}.svc`
    const url = new URL(`https://${host}:${port}${path}`)
    url.search = query
    const address = serviceAddress(this.#machinery.store, { namespace, name }, port)
    if (typeof address === 'string')
      throw new WebhookFailure(`Post "${shown(url, port)}": ${address}`)
    return { url, ...ca, address, servername: host }
  }

  async #send({ url, ca, address, servername }: Place, call: WebhookCall): Promise<unknown> {
    const { request } = await import('node:https')
    const { clock } = this.#machinery
    const body = JSON.stringify(call.body)
    const host = url.hostname.replace(/^\[|\]$/g, '')
    const options: RequestOptions = {
      method: 'POST',
      host: address?.host ?? host,
      port: address?.port ?? (url.port || 443),
      path: `${url.pathname}${url.search}`,
      headers: {
        host: url.host,
        accept: 'application/json, */*',
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': call.userAgent,
      },
      agent: false,
      ...(ca !== undefined && { ca }),
      ...(servername !== undefined ? { servername } : isIP(host) === 0 && { servername: host }),
    }
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        cancel()
        outgoing.destroy()
        reject(new WebhookFailure(`Post "${url.href}": ${why}`))
      }
      const outgoing = request(options, (response) => {
        readAnswer(response).then(
          (answer) => {
            cancel()
            resolve(answer)
          },
          (thrown: unknown) => fail(thrown instanceof Error ? thrown.message : String(thrown)),
        )
      })
      const cancel = clock.after(call.timeoutMs, () =>
        fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)'),
      )
      outgoing.on('error', (error) => fail(wordsFor(error)))
      outgoing.end(body)
    })
  }
}

interface Place {
  readonly url: URL
  readonly ca?: string
  readonly address?: { readonly host: string; readonly port: number }
  readonly servername?: string
}

const shown = (url: URL, port: number): string =>
  url.port === '' ? url.href.replace(url.hostname, `${url.hostname}:${port}`) : url.href

async function readAnswer(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxAnswerBytes) {
      response.destroy()
      throw new WebhookFailure(`the answer is larger than ${maxAnswerBytes} bytes`)
    }
    chunks.push(bytes)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const { statusCode = 0 } = response
  if (statusCode < 200 || statusCode > 206)
    throw new WebhookFailure(
      statusCode === 404
        ? 'the server could not find the requested resource'
        : `an error on the server (${JSON.stringify(text.slice(0, 200))}) has prevented the request from succeeding`,
    )
  try {
    return JSON.parse(text)
  } catch {
    throw new WebhookFailure(`the answer is no JSON: ${JSON.stringify(text.slice(0, 100))}`)
  }
}

/** What Go says of the same failure. */
function wordsFor(
  error: NodeJS.ErrnoException & { readonly address?: string; readonly port?: number },
): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return `dial tcp ${error.address ?? ''}:${error.port ?? ''}: connect: connection refused`
    case 'ENOTFOUND':
      return `dial tcp: ${error.message}: no such host`
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: ${error.message}`
    case 'ECONNRESET':
      return 'EOF'
    default:
      return error.message
  }
}

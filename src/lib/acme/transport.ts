/** HTTPS to an ACME server: one request, its whole answer, within bounds of time and size. */
import { request } from 'node:https'

export interface AcmeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: string
  readonly body?: string
  readonly accept?: string
}

export interface AcmeResponse {
  readonly status: number
  /** The first of a repeated header; names in lower case. */
  readonly header: (name: string) => string | undefined
  readonly body: string
}

/** Rejects when there is no answer. */
export type Transport = (request: AcmeRequest) => Promise<AcmeResponse>

const timeoutMs = 30_000
const maxBytes = 1024 * 1024

/** `ca`: PEM of the authorities that the server is trusted by; undefined = the public ones. */
export const httpsTransport =
  (ca?: string): Transport =>
  ({ method, url, body, accept }) =>
    new Promise((resolve, reject) => {
      const call = request(
        url,
        {
          method,
          timeout: timeoutMs,
          signal: AbortSignal.timeout(timeoutMs),
          ...(ca !== undefined && { ca }),
          headers: {
            'user-agent': 'ebb',
            ...(accept !== undefined && { accept }),
            ...(body !== undefined && {
              'content-type': 'application/jose+json',
              'content-length': Buffer.byteLength(body),
            }),
          },
        },
        (response) => {
          const chunks: Buffer[] = []
          let size = 0
          response.on('data', (chunk: Buffer) => {
            chunks.push(chunk)
            size += chunk.length
            if (size > maxBytes)
              call.destroy(new Error(`${url} answers with more than ${maxBytes} bytes`))
          })
          response.on('error', reject)
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              header: (name) => {
                const value = response.headers[name]
                return Array.isArray(value) ? value[0] : value
              },
              body: Buffer.concat(chunks).toString(),
            }),
          )
        },
      )
      call.on('timeout', () => call.destroy(new Error(`${url} does not answer`)))
      call.on('error', (error) => reject(new Error(`${url}: ${error.message}`, { cause: error })))
      call.end(body)
    })

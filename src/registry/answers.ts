/** How the embedded registry answers: JSON errors with the codes of distribution-spec 1.1, headers of its own. */
import type { ServerResponse } from 'node:http'

export type ErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'UNAUTHORIZED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNKNOWN'

/** A refusal with its status. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  readonly code: ErrorCode

  constructor(status: number, code: ErrorCode, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export type Headers = Readonly<Record<string, string | number>>

export function answer(
  response: ServerResponse,
  status: number,
  headers: Headers = {},
  body?: string | Uint8Array,
): void {
  response.writeHead(status, {
    ...headers,
    ...(status !== 204 && { 'content-length': body === undefined ? 0 : Buffer.byteLength(body) }),
  })
  response.end(body)
}

export const answerJson = (
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Headers = {},
): void =>
  answer(
    response,
    status,
    { 'content-type': 'application/json', ...headers },
    JSON.stringify(value),
  )

/** To HEAD requests without the body. */
export function refuse(response: ServerResponse, refusal: Refusal, headers: Headers = {}): void {
  const { status, code, message } = refusal
  answerJson(response, status, { errors: [{ code, message, detail: null }] }, headers)
}

/** Error codes of HTTP/2 (RFC 9113 7) and the error that ends a stream or a connection. */

export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

const names = Object.entries(ErrorCode).map(([name]) =>
  name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
)

/** The RFC's name of a code (`PROTOCOL_ERROR`); codes nobody knows as numbers. */
export const errorName = (code: number): string => names[code] ?? `error ${code}`

/** Why a stream or a connection ended. `code` is what was or would be sent in RST_STREAM or GOAWAY. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** The peer did what the RFC does not allow. */
export const protocolError = (message: string): Http2Error =>
  new Http2Error(ErrorCode.protocolError, message)

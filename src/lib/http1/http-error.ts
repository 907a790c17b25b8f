/** A message that is not HTTP as we accept it. The other side gets `status` and `message`; its connection is then closed. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  /** What a server answers; for a bad response a proxy answers 502 instead. */
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export const badRequest = (message: string): HttpError => new HttpError(400, message)

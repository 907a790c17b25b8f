/** Refusals of webhooks: their own code, reason and words, under a common beginning (apiserver `webhook/errors`). */
import { StatusError, type Status } from '../../../api/status-error.ts'
import type { Answer } from './review.ts'

/** A refusal whose reason may be any, or none. */
class Denied extends StatusError {
  readonly #reason: string

  constructor(message: string, reason: string, code: number) {
    super('BadRequest', message, {}, { code })
    this.#reason = reason
  }

  override toStatus(): Status {
    const { reason: _, ...status } = super.toStatus()
    return { ...status, ...(this.#reason !== '' && { reason: this.#reason }) }
  }
}

export function deniedBy(webhook: string, { status }: Answer): StatusError {
  const begin = `admission webhook ${JSON.stringify(webhook)} denied the request`
  const why = status.message || status.reason
  const code = status.code < 400 || status.code > 599 ? 400 : status.code
  return new Denied(why ? `${begin}: ${why}` : `${begin} without explanation`, status.reason, code)
}

/** 500 for a webhook that was to be asked and did not answer. */
export const failedCalling = (webhook: string, why: string): StatusError =>
  new StatusError(
    'InternalError',
    `Internal error occurred: failed calling webhook ${JSON.stringify(webhook)}: failed to call webhook: ${why}`,
    {
      causes: [
        {
          message: `failed calling webhook ${JSON.stringify(webhook)}: failed to call webhook: ${why}`,
        },
      ],
    },
  )

/**
 * What stands before an address that does not take events of everybody: 401 for those who do not prove who they are,
 * 403 for those who may not send (knative.dev/eventing `pkg/auth/verifier.go`). Addresses without a gate have no guard,
 * and pay nothing.
 */
import type { BufferedAnswer } from '../../../lib/http1/buffered-server.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { Headers } from '../../cloudevents/http-binding.ts'
import type { Gate, TokenIssuer } from '../feed.ts'
import { decisionOf } from './decision.ts'
import { createTokenCheck } from './token-check.ts'

/** The refusal, if it is one. `headers` are those of the request, in lower case. Never rejects. */
export type Guard = (
  headers: Headers,
  events: readonly CloudEvent[],
) => Promise<BufferedAnswer | undefined>

export interface Guards {
  /** Whose tokens are believed from now on. */
  trust(issuer: TokenIssuer | undefined): void
  /** Undefined for no gate. */
  guard(gate: Gate | undefined): Guard | undefined
}

/** Guards that share what they know of tokens. */
export function createGuards(clock: Pick<Clock, 'now'>): Guards {
  const tokens = createTokenCheck(clock)
  return {
    trust: (issuer) => tokens.trust(issuer),
    guard(gate) {
      if (!gate) return undefined
      const decide = decisionOf(gate)
      const { audience } = gate
      const unknown = (reason: string): BufferedAnswer => ({
        status: 401,
        headers: [plain, ['WWW-Authenticate', 'Bearer']],
        body: `${reason}\n`,
      })
      return async (headers, events) => {
        const said = headers.find(([name]) => name === 'authorization')?.[1]
        const [, token] = /^bearer +(\S+) *$/i.exec(said ?? '') ?? []
        if (token === undefined)
          return unknown(
            `events are sent here with "Authorization: Bearer TOKEN", a token of a ServiceAccount for the audience ${audience}`,
          )
        const checked = await tokens.check(token, audience)
        if ('problem' in checked) return unknown(checked.problem)
        const reason = decide(checked.subject, events)
        return reason === undefined
          ? undefined
          : { status: 403, headers: [plain], body: `${reason}\n` }
      }
    },
  }
}

const plain = ['Content-Type', 'text/plain; charset=utf-8'] as const

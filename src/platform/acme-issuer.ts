/** Certificates by ACME: placeholder until the client is written. */
import type { Client } from '../kube/client/client.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { AcmeIssuer } from '../serving/controllers/certificate/issuance.ts'

export interface AcmeIssuerOptions {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  /** Has the gateway answer a challenge, or answer it no more (null). */
  readonly answer: (host: string, token: string, response: string | null) => void
}

export function createAcmeIssuer(_options: AcmeIssuerOptions): AcmeIssuer {
  return { sign: () => Promise.reject(new Error('ACME is not there yet')) }
}

/**
 * Who signs certificates on this machine: the authority in the data directory and, where config-acme names a directory,
 * an ACME authority. Both are loaded when the first certificate is asked for.
 */
import type { Client } from '../../kube/client/client.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import {
  createIssuance,
  type AcmeIssuer,
  type Issuance,
  type LocalAuthority,
} from '../../serving/controllers/certificate/issuance.ts'
import { createFacts, type FeedPart } from '../../serving/controllers/ingress/feed-part.ts'
import type { Layout } from '../config.ts'
import { ensureLocalAuthority } from './local-authority.ts'

export interface CertificateIssuance {
  readonly issuance: Issuance
  readonly local: LocalAuthority
  /** For the gateway, which answers what ACME authorities ask. */
  readonly challenges: FeedPart
  /** Makes the platform's own authority, so that its certificate can be trusted before it has signed anything. */
  prepare(): Promise<void>
}

export function createCertificateIssuance({
  client,
  clock,
  log,
  layout,
}: {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  readonly layout: Layout
}): CertificateIssuance {
  const challenges = createFacts()
  challenges.complete()
  let authority: Promise<LocalAuthority> | undefined
  let ca: string | undefined
  const open = async (): Promise<LocalAuthority> => {
    const opened = await ensureLocalAuthority(layout.certificates, clock)
    ca = opened.ca
    return opened
  }
  const prepared = (): Promise<LocalAuthority> =>
    (authority ??= open().catch((error: unknown) => {
      authority = undefined
      throw error
    }))
  const local: LocalAuthority = {
    get ca() {
      return ca
    },
    sign: async (names) => (await prepared()).sign(names),
  }
  let issuer: Promise<AcmeIssuer> | undefined
  const acme: AcmeIssuer = {
    async sign(order) {
      issuer ??= import('./acme-issuer.ts').then(({ createAcmeIssuer }) =>
        createAcmeIssuer({
          client,
          clock,
          log: log.child({ part: 'acme' }),
          answer: (host, token, response) =>
            challenges.tell({ type: 'challenge', host, token, response }),
        }),
      )
      return (await issuer).sign(order)
    },
  }
  return {
    issuance: createIssuance({ clock, local, acme }),
    local,
    challenges,
    async prepare() {
      await prepared()
    },
  }
}

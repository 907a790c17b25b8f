/**
 * Certificates from ACME authorities. The account's key is kept in a Secret, so that the account outlives the machine's
 * disk being moved; a half-finished order is gone on with by the next attempt.
 */
import { hasReason } from '../../kube/api/status-error.ts'
import { Secret } from '../../kube/api/secret.ts'
import type { Client } from '../../kube/client/client.ts'
import { createAccountKey, readAccountKey, type AccountKey } from '../../lib/acme/account-key.ts'
import { AcmeClient, type Http01 } from '../../lib/acme/acme-client.ts'
import { AcmeProblem } from '../../lib/acme/problem.ts'
import { httpsTransport } from '../../lib/acme/transport.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { crc32 } from '../../knative/hash.ts'
import type { AcmeConfig } from '../../serving/api/config/acme.ts'
import { systemNamespace } from '../../serving/api/names.ts'
import {
  Refusal,
  type AcmeIssuer,
  type AcmeOrder,
  type Signed,
} from '../../serving/controllers/certificate/issuance.ts'
import { certificateRequest } from './certificate-issue.ts'

export interface AcmeIssuerOptions {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  /** Has the gateway answer a challenge, or answer it no more (null). */
  readonly answer: (host: string, token: string, response: string | null) => void
}

/** An attempt that may be gone on with. */
interface Begun {
  readonly csr: Uint8Array
  readonly privateKey: string
  order: string | undefined
}

/** After a rate limit without a date: Let's Encrypt's shortest window. */
const rateLimitMs = 3_600_000

export function createAcmeIssuer(options: AcmeIssuerOptions): AcmeIssuer {
  const { clock, log } = options
  const clients = new Map<string, Promise<AcmeClient>>()
  const begun = new Map<string, Begun>()

  const clientFor = (settings: AcmeConfig): Promise<AcmeClient> => {
    const { directoryUrl = '', email, caBundle } = settings
    const id = JSON.stringify([directoryUrl, email, caBundle])
    let client = clients.get(id)
    if (!client) {
      client = accountKey(options.client, directoryUrl).then(
        (key) =>
          new AcmeClient({ directoryUrl, key, email, transport: httpsTransport(caBundle), clock }),
      )
      client.catch(() => clients.delete(id))
      clients.set(id, client)
    }
    return client
  }

  const sign = async ({ names, settings, onChallenges }: AcmeOrder): Promise<Signed> => {
    const client = await clientFor(settings)
    const id = JSON.stringify([settings.directoryUrl, names])
    let attempt = begun.get(id)
    if (!attempt)
      begun.set(id, (attempt = { ...(await certificateRequest(names)), order: undefined }))
    const current = attempt
    let answered: readonly Http01[] = []
    const chain = await client.obtain({
      names,
      csr: current.csr,
      order: current.order,
      onOrder: (url) => (current.order = url),
      onChallenges(challenges) {
        for (const { host, token } of answered) options.answer(host, token, null)
        answered = challenges
        for (const { host, token, keyAuthorization } of challenges)
          options.answer(host, token, keyAuthorization)
        onChallenges(challenges.map(({ host, token }) => ({ host, token })))
      },
    })
    begun.delete(id)
    log.info('certificate signed', { names, directory: settings.directoryUrl })
    return { chain, privateKey: current.privateKey }
  }

  return {
    async sign(order) {
      try {
        return await sign(order)
      } catch (error) {
        log.info('certificate not signed', { names: order.names, error })
        if (!(error instanceof AcmeProblem) || !error.refused) throw error
        const waitMs =
          error.retryAfterMs ?? (error.type === 'rateLimited' ? rateLimitMs : undefined)
        throw new Refusal(error.message, waitMs, { cause: error })
      }
    },
  }
}

const keyName = 'account.key'

async function accountKey(client: Client, directoryUrl: string): Promise<AccountKey> {
  const name = `acme-account-${crc32(directoryUrl).toString(16).padStart(8, '0')}`
  const stored = async (): Promise<AccountKey | undefined> => {
    try {
      const { data = {} } = await client.get(Secret, { namespace: systemNamespace, name })
      return await readAccountKey(Buffer.from(data[keyName] ?? '', 'base64').toString())
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }
  const known = await stored()
  if (known) return known
  const key = await createAccountKey()
  try {
    await client.create(Secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name,
        namespace: systemNamespace,
        annotations: { 'ebb.dev/acme-directory': directoryUrl },
      },
      type: 'Opaque',
      data: { [keyName]: Buffer.from(key.pem).toString('base64') },
    })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
    return (await stored()) ?? key
  }
  return key
}

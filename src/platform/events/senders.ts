/**
 * What Eventing needs of the API server to tell senders apart: tokens of their ServiceAccounts, and the keys that tokens
 * are checked with.
 */
import { get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'
import { json } from 'node:stream/consumers'
import { rootCertificates } from 'node:tls'
import { ServiceAccount } from '../../kube/api/service-account.ts'
import { defaultIssuer } from '../../kube/apiserver/access/service-account-tokens.ts'
import { jwks, tokenKeys } from '../../kube/apiserver/access/token-keys.ts'
import type { TypedClient } from '../../kube/client/typed-client.ts'
import type { TokenIssuer } from '../../eventing/broker/feed.ts'
import type { IssuedToken, TokenWish } from '../../eventing/controllers/identity/tokens.ts'

/** By a TokenRequest. Rejects when it is refused. */
export const tokenRequests =
  (client: TypedClient) =>
  async ({ account, audience }: TokenWish, expirationSeconds: number): Promise<IssuedToken> => {
    const answer = await client.subresource('create', ServiceAccount, account, 'token', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds },
    })
    const { token, expirationTimestamp } = fieldsOf(fieldsOf(answer)['status'])
    if (typeof token !== 'string' || typeof expirationTimestamp !== 'string')
      throw new Error('the answer to a TokenRequest has no token')
    return { token, expiresMs: Date.parse(expirationTimestamp) }
  }

/** What the API server's own discovery document says, from the keys it signs with (PEM). */
export function ownIssuer(pems: readonly string[], issuer = defaultIssuer): TokenIssuer {
  const { keys } = fieldsOf(jwks(tokenKeys(pems)))
  return { issuer, keys: Array.isArray(keys) ? keys.map(fieldsOf) : [] }
}

const answerMs = 10_000
const maxDocumentBytes = 1 << 20

/** The JSON at a URL of HTTP; servers of the cluster's own authority are trusted too. Rejects for everything else. */
export const jsonAt =
  (clusterCA: string) =>
  (url: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const get = url.startsWith('https:') ? httpsGet : httpGet
      const asking = get(
        url,
        { ca: [...rootCertificates, clusterCA], timeout: answerMs },
        (response) => {
          let size = 0
          response.on('data', (chunk: Buffer) => {
            size += chunk.length
            if (size > maxDocumentBytes)
              asking.destroy(new Error(`${url} has more than ${maxDocumentBytes} bytes`))
          })
          if (response.statusCode === 200) json(response).then(resolve, reject)
          else asking.destroy(new Error(`${url} answered ${response.statusCode}`))
        },
      )
      asking.on('timeout', () => asking.destroy(new Error(`${url}: no answer`)))
      asking.on('error', reject)
    })

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {}

/** The key of an ACME account, and requests signed with it: flattened JWS with ES256 (RFC 7515, RFC 8555 6.2). */
import { webcrypto } from 'node:crypto'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const signing = { name: 'ECDSA', hash: 'SHA-256' }

/** The public half, its members in the order of RFC 7638, which its thumbprint is made of. */
interface PublicJwk {
  readonly crv: string
  readonly kty: 'EC'
  readonly x: string
  readonly y: string
}

export interface AccountKey {
  /** PKCS#8 in PEM, to be kept. */
  readonly pem: string
  /** Base64url SHA-256 of the public key (RFC 7638): the second half of a key authorization. */
  readonly thumbprint: string
  /**
   * The body of a POST to `url`. `kid`: the account's URL; undefined = name the key itself, as for a new account.
   * `payload` undefined = POST-as-GET.
   */
  sign(request: {
    readonly url: string
    readonly nonce: string
    readonly kid: string | undefined
    readonly payload: unknown
  }): Promise<string>
}

export async function createAccountKey(): Promise<AccountKey> {
  const { privateKey } = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  return accountKey(privateKey)
}

/** Reads what `pem` of an earlier key said. Throws for anything but a P-256 key. */
export async function readAccountKey(pem: string): Promise<AccountKey> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
  return accountKey(await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']))
}

async function accountKey(key: webcrypto.CryptoKey): Promise<AccountKey> {
  const { subtle } = webcrypto
  const { crv = '', x = '', y = '' } = await subtle.exportKey('jwk', key)
  const jwk: PublicJwk = { crv, kty: 'EC', x, y }
  const der = Buffer.from(await subtle.exportKey('pkcs8', key))
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  const digest = await subtle.digest('SHA-256', Buffer.from(JSON.stringify(jwk)))
  return {
    pem: ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n'),
    thumbprint: base64url(digest),
    async sign({ url, nonce, kid, payload }) {
      const header = { alg: 'ES256', ...(kid === undefined ? { jwk } : { kid }), nonce, url }
      const first = base64url(Buffer.from(JSON.stringify(header)))
      const second = payload === undefined ? '' : base64url(Buffer.from(JSON.stringify(payload)))
      const signature = await subtle.sign(signing, key, Buffer.from(`${first}.${second}`))
      return JSON.stringify({
        protected: first,
        payload: second,
        signature: base64url(signature),
      })
    },
  }
}

export const base64url = (bytes: ArrayBuffer | Uint8Array): string =>
  (bytes instanceof Uint8Array ? Buffer.from(bytes) : Buffer.from(bytes)).toString('base64url')

/**
 * Signed JSON Web Tokens in compact form (RFC 7515, 7519), as ServiceAccount tokens are: read within limits, signed and
 * checked with node:crypto. The algorithm is the key's own, never what the token's header would like it to be.
 */
import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isRecord, type Fields } from '../values.ts'

export type Algorithm = 'RS256' | 'ES256'

/** A public key with the name that tokens give it. */
export interface VerificationKey {
  readonly id: string
  readonly algorithm: Algorithm
  readonly key: KeyObject
}

export interface Jwt {
  readonly keyId: string | undefined
  readonly algorithm: string
  readonly claims: Fields
  readonly signed: Buffer
  readonly signature: Buffer
}

/** Ours have some 1 kB; those of identity providers with many groups some 10. */
const maxTokenChars = 48 * 1024

/** Undefined for what is no JWT, or one beyond all measure. Nothing in the answer is checked yet. */
export function readJwt(token: string): Jwt | undefined {
  if (token.length > maxTokenChars) return undefined
  const parts = token.split('.', 4)
  const [head, payload, signature] = parts
  if (parts.length !== 3 || !head || !payload || !signature) return undefined
  const header = decoded(head)
  const claims = decoded(payload)
  if (!header || !claims || typeof header['alg'] !== 'string') return undefined
  // An extension that one does not know must be refused (RFC 7515 4.1.11).
  if (header['crit'] !== undefined) return undefined
  return {
    keyId: typeof header['kid'] === 'string' ? header['kid'] : undefined,
    algorithm: header['alg'],
    claims,
    signed: Buffer.from(`${head}.${payload}`, 'latin1'),
    signature: Buffer.from(signature, 'base64url'),
  }
}

function decoded(part: string): Fields | undefined {
  if (!/^[\w-]+$/.test(part)) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** The token of these claims, signed with a private key of RSA or P-256. */
export function signJwt(key: KeyObject, keyId: string, claims: Fields): string {
  const header = { alg: algorithmOf(key), kid: keyId }
  const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${text(header)}.${text(claims)}`
  const signature = sign('sha256', Buffer.from(signed), encoded(key))
  return `${signed}.${signature.toString('base64url')}`
}

/** True when one of the keys that suit the token's header has signed it. */
export const isSignedBy = (token: Jwt, keys: readonly VerificationKey[]): boolean =>
  keys.some(
    ({ id, algorithm, key }) =>
      algorithm === token.algorithm &&
      (token.keyId === undefined || token.keyId === id) &&
      verify('sha256', token.signed, encoded(key), token.signature),
  )

/** Elliptic signatures are two numbers side by side in tokens, not DER. */
const encoded = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' as const })

/** Throws for a key that no token is signed with. */
export function algorithmOf(key: KeyObject): Algorithm {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= 2048) return 'RS256'
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256'
  throw new Error(
    `a key that signs tokens is of RSA with 2048 bits or more, or of P-256; found ${key.asymmetricKeyType ?? key.type} ${namedCurve ?? (modulusLength || '')}`,
  )
}

/** The public half of `key`, named by its digest as Kubernetes does. */
export function verificationKey(key: KeyObject): VerificationKey {
  const half = key.type === 'public' ? key : createPublicKey(key)
  const der = half.export({ type: 'spki', format: 'der' })
  const id = createHash('sha256').update(der).digest('base64url')
  return { id, algorithm: algorithmOf(half), key: half }
}

/** The keys of ServiceAccount tokens: the first signs, all of them check, so that a key can be replaced gently. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { verificationKey, type VerificationKey } from './jwt.ts'

export interface TokenKeys {
  readonly signing: KeyObject
  readonly signingId: string
  readonly verification: readonly VerificationKey[]
}

/** From PEM texts; public ones only check. Without any, a key that lives as long as this process. */
export function tokenKeys(pems: readonly string[] = []): TokenKeys {
  const keys = pems.length === 0 ? [newKey()] : pems.map(keyOf)
  const [signing] = keys
  if (signing?.type !== 'private')
    throw new Error('the first key of ServiceAccount tokens signs them and must be a private one')
  const verification = keys.map(verificationKey)
  return { signing, signingId: verification[0]?.id ?? '', verification }
}

/** P-256: made in less than a millisecond, where RSA takes a tenth of a second. */
const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** A fresh key, to be kept in a file. */
export const newTokenKey = (): string =>
  newKey().export({ type: 'pkcs8', format: 'pem' }).toString()

const keyOf = (pem: string): KeyObject =>
  pem.includes('PRIVATE KEY') ? createPrivateKey(pem) : createPublicKey(pem)

/** The document at `/openid/v1/jwks`: for whoever checks our tokens himself. */
export const jwks = ({ verification }: TokenKeys): object => ({
  keys: verification.map(({ id, algorithm, key }) => ({
    use: 'sig',
    kid: id,
    alg: algorithm,
    ...key.export({ format: 'jwk' }),
  })),
})

/** The document at `/.well-known/openid-configuration`. */
export const openIdConfiguration = (
  { verification }: TokenKeys,
  issuer: string,
  jwksUri: string,
): object => ({
  issuer,
  jwks_uri: jwksUri,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: [
    ...new Set(verification.map(({ algorithm }) => algorithm)),
  ].toSorted(),
})

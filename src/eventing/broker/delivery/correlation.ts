/**
 * The mark by which a RequestReply knows the answer to a request, in Knative's form (knative.dev/eventing
 * `pkg/requestreply/correlation_id.go`): `<event id>:<base64url(nonce ‖ AES-GCM(event id))>:<replica>`. Whoever has no
 * key can neither make one nor alter it.
 */
import { createCipheriv, createDecipheriv, type CipherGCMTypes } from 'node:crypto'
import type { Functions } from '../../cesql/cesql.ts'
import { ok } from '../../cesql/outcome.ts'

export interface CorrelationKey {
  readonly cipher: CipherGCMTypes
  readonly secret: Buffer
}

/** Keys in base64, by `namespace.name` of the RequestReply they belong to. */
export type KeysByOwner = Readonly<Record<string, readonly string[]>>

export const nonceBytes = 12
const tagBytes = 16
const tagged = { authTagLength: tagBytes }
/** One process is all replicas there are. */
const replica = 0

const ciphers: ReadonlyMap<number, CipherGCMTypes> = new Map([
  [16, 'aes-128-gcm'],
  [24, 'aes-192-gcm'],
  [32, 'aes-256-gcm'],
])

/** Of base64. Those of a length that AES does not know are left out. */
export const keysOf = (texts: readonly string[]): readonly CorrelationKey[] =>
  texts.flatMap((text) => {
    const secret = Buffer.from(text, 'base64')
    const cipher = ciphers.get(secret.length)
    return cipher ? [{ cipher, secret }] : []
  })

/** `nonce` is `nonceBytes` that were never used with this key. */
export function markOf(id: string, { cipher, secret }: CorrelationKey, nonce: Buffer): string {
  const lock = createCipheriv(cipher, secret, nonce, tagged)
  const sealed = [nonce, lock.update(id, 'utf8'), lock.final(), lock.getAuthTag()]
  return `${id}:${Buffer.concat(sealed).toString('base64url')}:${replica}`
}

interface Mark {
  readonly id: string
  readonly sealed: Buffer
  readonly replica: number
}

/** From the right, as ids may have colons (`urn:uuid:…`). */
function parse(text: string): Mark | undefined {
  const match = /^([^]+):([\w+/=-]+):(\d+)$/.exec(text)
  if (!match) return undefined
  const [, id = '', sealed = '', index = ''] = match
  return { id, sealed: Buffer.from(sealed, 'base64url'), replica: Number(index) }
}

function opens({ id, sealed }: Mark, { cipher, secret }: CorrelationKey): boolean {
  if (sealed.length < nonceBytes + tagBytes) return false
  const lock = createDecipheriv(cipher, secret, sealed.subarray(0, nonceBytes), tagged)
  lock.setAuthTag(sealed.subarray(-tagBytes))
  try {
    const text = lock.update(sealed.subarray(nonceBytes, -tagBytes))
    return Buffer.concat([text, lock.final()]).equals(Buffer.from(id))
  } catch {
    return false
  }
}

/** One of the keys has made it. */
export function isMark(text: string, keys: readonly CorrelationKey[]): boolean {
  const mark = parse(text)
  return mark !== undefined && keys.some((key) => opens(mark, key))
}

/** The Secret with all keys, as expressions name it. */
const keysSecret = 'request-reply-keys'

/** `KN_VERIFY_CORRELATION_ID(mark, name, namespace, secret, replica, replicas)` of Knative's Triggers. */
export function verifyFunction(keysByOwner: KeysByOwner): Functions {
  const keys = new Map(Object.entries(keysByOwner).map(([owner, texts]) => [owner, keysOf(texts)]))
  return {
    KN_VERIFY_CORRELATION_ID: {
      parameters: ['string', 'string', 'string', 'string', 'integer', 'integer'],
      zero: false,
      call(text, name, namespace, secret, own, replicas) {
        const mark = parse(String(text))
        const candidates = secret === keysSecret ? keys.get(`${namespace}.${name}`) : undefined
        if (!mark || !candidates || mark.replica % Number(replicas) !== own) return ok(false)
        return ok(candidates.some((key) => opens(mark, key)))
      },
    },
  }
}

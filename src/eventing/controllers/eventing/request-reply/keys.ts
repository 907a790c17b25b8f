/**
 * The keys of RequestReplies: one Secret of the system namespace with `<namespace>.<name>.key-<number>`, 32 bytes each
 * (knative.dev/eventing `pkg/requestreply/key_store.go`). Whoever adds one with a higher number has changed the key:
 * that one marks from then on, and those that are left are believed until they are taken away.
 */
import { Secret } from '../../../../kube/api/secret.ts'
import type { ObjectKey } from '../../../../kube/api/meta.ts'
import type { Apply, Patch, Reader } from '../../../../kube/controller/reconciler.ts'
import { systemNamespace } from '../../../api/names.ts'

export const keysSecret: ObjectKey = { namespace: systemNamespace, name: 'request-reply-keys' }

export const isKeysSecret = ({ metadata }: Pick<Secret, 'metadata'>): boolean =>
  metadata.namespace === keysSecret.namespace && metadata.name === keysSecret.name

export interface Key {
  /** In the Secret's data. */
  readonly entry: string
  readonly number: number
  /** Base64. */
  readonly text: string
}

/** Of one RequestReply, the newest first. */
export function keysFor({ namespace, name }: ObjectKey, read: Pick<Reader, 'get'>): readonly Key[] {
  const prefix = `${namespace}.${name}.key-`
  return Object.entries(read.get(Secret, keysSecret)?.data ?? {})
    .filter(([entry]) => entry.startsWith(prefix) && /^\d{1,9}$/.test(entry.slice(prefix.length)))
    .map(([entry, text]) => ({ entry, number: Number(entry.slice(prefix.length)), text }))
    .toSorted((a, b) => b.number - a.number)
}

/** AES knows keys of 16, 24 and 32 bytes. */
export const isUsable = ({ text }: Key): boolean => /^(?:[^=]{22}==|[^=]{32}|[^=]{43}=)$/.test(text)

/** A key of one's own, when there is none that can be used; what else is in the Secret stays. */
export function ensureKey(
  { namespace, name }: ObjectKey,
  keys: readonly Key[],
  newKey: string,
): readonly Apply[] {
  if (keys.some(isUsable)) return []
  const [newest] = keys
  const entry = `${namespace}.${name}.key-${newest ? newest.number + 1 : 0}`
  const desired: Secret = {
    apiVersion: 'v1',
    kind: Secret.kind,
    metadata: { ...keysSecret, labels: { 'eventing.knative.dev/part-of': 'request-reply' } },
    type: 'Opaque',
    data: { [entry]: newKey },
  }
  const merge = (existing: Secret): Secret => ({
    ...existing,
    data: { [entry]: newKey, ...existing.data },
  })
  return [{ kind: Secret, desired, merge }]
}

/** Takes all of them away. */
export const forgetKeys = (keys: readonly Key[]): readonly Patch[] =>
  keys.length === 0
    ? []
    : [
        {
          kind: Secret,
          key: keysSecret,
          body: { data: Object.fromEntries(keys.map(({ entry }) => [entry, null])) },
        },
      ]

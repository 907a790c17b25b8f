/**
 * The credentials that a pod brings for its images: its own `imagePullSecrets` and those of its ServiceAccount, as the
 * kubelet and Knative's tag resolution (k8schain) read them.
 */
import {
  keyEntries,
  keyring,
  type KeyEntry,
  type Keyring,
} from '../../../image/registry/credentials.ts'
import type { Kind } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { Secret } from '../../api/secret.ts'
import { ServiceAccount } from '../../api/service-account.ts'
import { hasReason } from '../../api/status-error.ts'
import type { Client } from '../../client/client.ts'

/** What of a pod, or of a Revision, says who pulls. */
export interface PullIdentity {
  readonly namespace: string
  readonly serviceAccountName?: string | undefined
  readonly imagePullSecrets?: readonly { readonly name?: string }[] | undefined
}

/** `onMissing` is told the Secrets that are named and not there, or are of no use. */
export async function pullKeys(
  client: Pick<Client, 'get'>,
  { namespace, serviceAccountName, imagePullSecrets = [] }: PullIdentity,
  onMissing: (names: readonly string[]) => void = () => {},
): Promise<Keyring> {
  const own = imagePullSecrets.map(({ name = '' }) => name)
  const account = await lookUp(client, ServiceAccount, namespace, serviceAccountName || 'default')
  const given = (account?.imagePullSecrets ?? []).map(({ name = '' }) => name)
  const names = [...new Set([...own, ...given])].filter((name) => name !== '')
  const secrets = await Promise.all(
    names.map(async (name) => ({ name, secret: await lookUp(client, Secret, namespace, name) })),
  )
  const entries: KeyEntry[] = []
  const missing: string[] = []
  for (const { name, secret } of secrets) {
    const config = secret && dockerConfigOf(secret)
    if (config === undefined) missing.push(name)
    else entries.push(...keyEntries(config))
  }
  if (missing.length > 0) onMissing(missing)
  return keyring(entries)
}

/** What a Secret of either type holds; undefined when it holds none that can be read. */
function dockerConfigOf({ type, data = {} }: Secret): unknown {
  const key =
    type === 'kubernetes.io/dockerconfigjson'
      ? '.dockerconfigjson'
      : type === 'kubernetes.io/dockercfg'
        ? '.dockercfg'
        : undefined
  const text = key === undefined ? undefined : data[key]
  if (text === undefined) return undefined
  try {
    return JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

async function lookUp<T extends KubeObject>(
  client: Pick<Client, 'get'>,
  kind: Kind<T>,
  namespace: string,
  name: string,
): Promise<T | undefined> {
  try {
    return await client.get(kind, { namespace, name })
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}

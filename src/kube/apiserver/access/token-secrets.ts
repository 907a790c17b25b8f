/**
 * Secrets of type `kubernetes.io/service-account-token`: filled with a token that lives as long as they do, the
 * authority's certificate and the namespace. They go with their account, as its dependants.
 */
import { ServiceAccount } from '../../api/service-account.ts'
import type { AdmissionContext } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import { Secret } from '../../api/secret.ts'
import type { AdmissionPlugin } from '../machinery.ts'
import type { ServiceAccountTokens } from './service-account-tokens.ts'

const type = 'kubernetes.io/service-account-token'
const accountName = 'kubernetes.io/service-account.name'
const accountUid = 'kubernetes.io/service-account.uid'

export const tokenSecrets = (tokens: ServiceAccountTokens, rootCA: string): AdmissionPlugin => ({
  kind: Secret,
  admit(object: KubeObject, context: AdmissionContext): KubeObject {
    const secret = object as Secret
    if (secret.type !== type) return object
    const { metadata, data = {} } = secret
    const { name, namespace = '' } = metadata
    const named = metadata.annotations?.[accountName] ?? ''
    const account = named.includes('/')
      ? undefined
      : context.read(ServiceAccount, { namespace, name: named })
    const { uid } = account?.metadata ?? {}
    if (!account || uid === undefined) return object
    // A token of an account that was replaced by another of its name is worth nothing.
    const current = metadata.annotations?.[accountUid] === uid && data['token'] !== undefined
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    const others = (metadata.ownerReferences ?? []).filter(({ kind }) => kind !== 'ServiceAccount')
    return {
      ...secret,
      metadata: {
        ...metadata,
        annotations: { ...metadata.annotations, [accountUid]: uid },
        ownerReferences: [
          ...others,
          { apiVersion: 'v1', kind: 'ServiceAccount', name: named, uid },
        ],
      },
      data: {
        ...data,
        'ca.crt': data['ca.crt'] ?? base64(rootCA),
        namespace: data['namespace'] ?? base64(namespace),
        ...(!current && { token: base64(tokens.issueForSecret(account, { name })) }),
      },
    } as KubeObject
  },
})

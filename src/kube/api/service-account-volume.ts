/**
 * What the ServiceAccount admission of Kubernetes adds to a pod that is created: the volume `kube-api-access-…` with token,
 * root certificate and namespace, mounted into every container, and the account's pull secrets.
 */
import type { Container } from './container.ts'
import type { PodSpec } from './pod-spec.ts'
import type { ServiceAccount } from './service-account.ts'

/** Where programs in pods look for their credentials. */
export const accountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
const volumePrefix = 'kube-api-access-'
/** An hour, and seven seconds by which Kubernetes' own tokens are known. */
const tokenSeconds = 3607
/** Without vowels and what is easily misread, as in Kubernetes' generated names. */
const letters = 'bcdfghjklmnpqrstvwxz2456789'

/** True for the volume that was added here, by its name. */
export const isAccountVolume = (name: string): boolean => name.startsWith(volumePrefix)

/** The spec with what the account adds; `uid` is the pod's, from which the volume's name is made. */
export function withAccount(
  spec: PodSpec,
  account: Pick<ServiceAccount, 'automountServiceAccountToken' | 'imagePullSecrets'> | undefined,
  uid: string,
): PodSpec {
  const pullSecrets = account?.imagePullSecrets
  const furnished =
    pullSecrets?.length && !spec.imagePullSecrets?.length
      ? { ...spec, imagePullSecrets: pullSecrets }
      : spec
  const automount =
    spec.automountServiceAccountToken ?? account?.automountServiceAccountToken ?? true
  return automount ? withVolume(furnished, uid) : furnished
}

function withVolume(spec: PodSpec, uid: string): PodSpec {
  const all = [...spec.containers, ...(spec.initContainers ?? [])]
  if (all.every(isMounted)) return spec
  const own = spec.volumes?.find(({ name }) => isAccountVolume(name))
  const name = own?.name ?? `${volumePrefix}${suffix(uid)}`
  const mount = (container: Container): Container =>
    isMounted(container)
      ? container
      : {
          ...container,
          volumeMounts: [
            ...(container.volumeMounts ?? []),
            { name, readOnly: true, mountPath: accountPath },
          ],
        }
  return {
    ...spec,
    volumes: own ? (spec.volumes ?? []) : [...(spec.volumes ?? []), accountVolume(name)],
    containers: spec.containers.map(mount),
    ...(spec.initContainers && { initContainers: spec.initContainers.map(mount) }),
  }
}

const isMounted = ({ volumeMounts }: Container): boolean =>
  volumeMounts?.some(({ mountPath }) => mountPath === accountPath) ?? false

const accountVolume = (name: string): NonNullable<PodSpec['volumes']>[number] => ({
  name,
  projected: {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [
            { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
          ],
        },
      },
    ],
  },
})

/** Five letters of a random uid. */
function suffix(uid: string): string {
  let rest = Number.parseInt(uid.replaceAll('-', '').slice(0, 12) || '0', 16)
  let text = ''
  for (let i = 0; i < 5; i++) {
    text += letters[rest % letters.length]
    rest = Math.floor(rest / letters.length)
  }
  return text
}

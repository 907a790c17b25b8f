/** Addresses of an object as transport-encryption has them: plain, both, or over TLS alone. */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Secret } from '../../../kube/api/secret.ts'
import type { Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import type { ConditionSet, ConditionsStatus } from '../../../knative/conditions.ts'
import type { TransportEncryption } from '../../api/config/features.ts'
import { featuresIn } from '../../api/config/read.ts'
import { isFeatures } from '../feature-watch.ts'
import { authorityOf, isServerSecret } from './server-secrets.ts'

export interface Transport {
  readonly mode: TransportEncryption
  /** PEM of whom clients have to trust; undefined = there is no certificate yet. */
  readonly ca: string | undefined
}

export function transportIn(read: Pick<Reader, 'get'>, secret: string): Transport {
  const mode = featuresIn(read).transportEncryption
  return { mode, ca: mode === 'disabled' ? undefined : authorityOf(read, secret) }
}

interface Address {
  readonly name: string
  readonly url: string
  readonly CACerts?: string
  readonly audience?: string
}

/** Nothing while TLS alone is served and its certificate is missing. */
export function addressesOf(
  urls: { readonly http: string; readonly https: string },
  audience: string | undefined,
  { mode, ca }: Transport,
): { readonly address?: Address; readonly addresses?: readonly Address[] } {
  const meant = audience === undefined ? {} : { audience }
  const plain = { name: 'http', url: urls.http, ...meant }
  if (mode === 'disabled') return { address: plain }
  if (ca === undefined) return mode === 'strict' ? {} : { address: plain }
  const secure = { name: 'https', url: urls.https, CACerts: ca, ...meant }
  return mode === 'strict'
    ? { address: secure, addresses: [secure] }
    : { address: plain, addresses: [secure, plain] }
}

interface AddressFields extends ConditionsStatus {
  readonly address?: object
  readonly addresses?: readonly object[]
}

/** `status` with these addresses and no others. */
export function withAddresses<S extends AddressFields>(
  status: S,
  addresses: ReturnType<typeof addressesOf>,
): S {
  const { address: _, addresses: __, ...rest } = status
  return { ...(rest as unknown as S), ...addresses }
}

/** TLS alone is to be served, and can't be yet. */
export const withoutCertificate = <S extends ConditionsStatus>(
  status: S,
  conditions: ConditionSet,
  nowMs: number,
): S =>
  conditions.markUnknown(
    status,
    'Addressable',
    'CertificateNotReady',
    'transport-encryption is strict, and the certificate of the address is not there yet',
    nowMs,
  )

/** What a reconciler of `kind` watches for it. */
export const transportWatches = (kind: Kind): Reconciler<KubeObject, unknown>['watches'] => [
  {
    kind: Secret,
    wake: (changed, read) =>
      isServerSecret(changed) ? read.list(kind, '').map((each) => keyOf(each)) : [],
  },
  {
    kind: ConfigMap,
    wake: (changed, read) =>
      isFeatures(changed) ? read.list(kind, '').map((each) => keyOf(each)) : [],
  },
]

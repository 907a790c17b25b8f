/**
 * What every namespace has for its pods: the ServiceAccount `default` and the ConfigMap with the root certificate. The API
 * server makes them with the namespace; here they come back when somebody deletes or changes them (upstream:
 * serviceaccounts controller, root-ca-cert-publisher).
 */
import { ConfigMap } from '../api/config-map.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import { ServiceAccount } from '../api/service-account.ts'
import type { Reader, Reconciler } from '../controller/reconciler.ts'

export const rootCertificateName = 'kube-root-ca.crt'
const accountName = 'default'

interface World {
  readonly namespace: string
  readonly account: ServiceAccount | undefined
  readonly root: ConfigMap | undefined
}

/** `rootCA` is the certificate as PEM text. */
export const accountFiles = (rootCA: string): Reconciler<Namespace, World> => ({
  name: 'serviceaccount-controller',
  kind: Namespace,
  handles: ({ metadata }) => !metadata.deletionTimestamp,
  watches: [
    { kind: ServiceAccount, wake: named(accountName) },
    { kind: ConfigMap, wake: named(rootCertificateName) },
  ],
  observe: ({ metadata: { name } }, read: Reader): World => ({
    namespace: name,
    account: read.get(ServiceAccount, { namespace: name, name: accountName }),
    root: read.get(ConfigMap, { namespace: name, name: rootCertificateName }),
  }),
  plan: ({ namespace, account, root }) => ({
    apply: [
      ...(account
        ? []
        : [
            {
              kind: ServiceAccount,
              desired: {
                apiVersion: 'v1',
                kind: 'ServiceAccount',
                metadata: { namespace, name: accountName },
              },
              merge: (existing: KubeObject) => existing,
            },
          ]),
      ...(root?.data?.['ca.crt'] === rootCA
        ? []
        : [
            {
              kind: ConfigMap,
              desired: {
                apiVersion: 'v1',
                kind: 'ConfigMap',
                metadata: { namespace, name: rootCertificateName },
                data: { 'ca.crt': rootCA },
              } satisfies ConfigMap,
            },
          ]),
    ],
  }),
})

const named =
  (name: string) =>
  ({ metadata }: KubeObject): readonly ObjectKey[] =>
    metadata.name === name ? [{ namespace: '', name: metadata.namespace ?? '' }] : []

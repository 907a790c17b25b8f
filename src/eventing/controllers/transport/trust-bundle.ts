/**
 * Whom senders trust besides the usual authorities: the ConfigMaps that are labelled so (knative.dev/eventing
 * `pkg/eventingtls/trust_bundle.go`).
 */
import type { ConfigMap as ConfigMapKind } from '../../../kube/api/config-map.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { controllerRef, type KubeObject } from '../../../kube/api/meta.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { systemNamespace } from '../../api/names.ts'

const bundleLabel = 'networking.knative.dev/trust-bundle'

export const isTrustBundle = ({ metadata }: KubeObject): boolean =>
  metadata.namespace === systemNamespace &&
  metadata.labels?.[bundleLabel] === 'true' &&
  metadata.name !== bundleCopyName

/** In namespaces of SinkBindings, for their pods. */
export const bundleCopyName = 'kne-bundle-combined'
const bundleCopyFile = 'knative-eventing-bundle.pem'

/** The copy in the namespace of `owner`; others may own it too. */
export const bundleCopy = (owner: KubeObject, pem: string): ConfigMapKind => {
  const { controller: _, blockOwnerDeletion: __, ...reference } = controllerRef(owner)
  return {
    apiVersion: 'v1',
    kind: ConfigMap.kind,
    metadata: {
      name: bundleCopyName,
      namespace: owner.metadata.namespace ?? '',
      labels: { [bundleLabel]: 'true' },
      ownerReferences: [reference],
    },
    data: { [bundleCopyFile]: pem },
  }
}

const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** All certificates in them, PEM; undefined = there are none. */
export function trustBundle(read: Pick<Reader, 'list'>): string | undefined {
  const maps: readonly ConfigMapKind[] = read.list(ConfigMap, systemNamespace, {
    [bundleLabel]: 'true',
  })
  const found = maps
    .filter(isTrustBundle)
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ data = {} }) =>
      Object.values(data).flatMap((text) => text.match(certificate) ?? []),
    )
  return found.length > 0 ? `${found.join('\n')}\n` : undefined
}

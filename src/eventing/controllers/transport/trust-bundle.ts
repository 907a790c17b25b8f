/** Whom senders trust besides the usual authorities: the ConfigMaps that are labelled so (contract eventing §3.10). */
import type { ConfigMap as ConfigMapKind } from '../../../kube/api/config-map.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import { systemNamespace } from '../../api/names.ts'

const bundleLabel = 'networking.knative.dev/trust-bundle'

export const isTrustBundle = ({ metadata }: KubeObject): boolean =>
  metadata.namespace === systemNamespace && metadata.labels?.[bundleLabel] === 'true'

const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** All certificates in them, PEM; undefined = there are none. */
export function trustBundle(read: Pick<Reader, 'list'>): string | undefined {
  const maps: readonly ConfigMapKind[] = read.list(ConfigMap, systemNamespace, {
    [bundleLabel]: 'true',
  })
  const found = maps
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ data = {} }) =>
      Object.values(data).flatMap((text) => text.match(certificate) ?? []),
    )
  return found.length > 0 ? `${found.join('\n')}\n` : undefined
}

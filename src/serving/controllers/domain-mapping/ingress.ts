/** The KIngress of a DomainMapping: its host leads to the routes of the host that it maps. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { childName } from '../../../knative/child-name.ts'
import type { NetworkConfig } from '../../api/config/network.ts'
import type { DomainMapping } from '../../api/domain-mapping.ts'
import { Ingress, type IngressTls } from '../../api/ingress.ts'
import { annotation, annotationSpellings, firstSpelling, label } from '../../api/names.ts'
import { without } from '../copied-metadata.ts'
import { httpOptionOf } from '../route/ingress.ts'
import type { Reference } from './reference.ts'

export const ingressName = (mapping: string): string => childName(mapping, '')

const dropped: ReadonlySet<string> = new Set([
  annotation.lastApplied,
  ...annotationSpellings.ingressClass,
])

export function desiredIngress(
  mapping: DomainMapping,
  { host, service, port }: Extract<Reference, { readonly host: string }>,
  tls: readonly IngressTls[],
  network: NetworkConfig,
): Ingress {
  const { name, namespace = '', uid = '', labels, annotations } = mapping.metadata
  const httpOption = httpOptionOf(mapping, network)
  return {
    apiVersion: apiVersionOf(Ingress),
    kind: Ingress.kind,
    metadata: {
      name: ingressName(name),
      namespace,
      labels: {
        ...labels,
        [label.domainMappingUID]: uid,
        [label.domainMappingNamespace]: namespace,
      },
      annotations: {
        ...without(annotations, (key) => dropped.has(key)),
        [annotation.ingressClass]:
          firstSpelling(annotations, annotationSpellings.ingressClass)?.value ??
          network.ingressClass,
      },
      ownerReferences: [controllerRef(mapping)],
    },
    spec: {
      ...(httpOption && { httpOption }),
      rules: [
        {
          hosts: [name],
          visibility: 'ExternalIP',
          http: {
            paths: [
              {
                rewriteHost: host,
                splits: [
                  {
                    serviceNamespace: namespace,
                    serviceName: service,
                    servicePort: port,
                    percent: 100,
                    // The program sees the host that the client asked for.
                    appendHeaders: { 'K-Original-Host': name },
                  },
                ],
              },
            ],
          },
        },
      ],
      ...(tls.length > 0 && { tls }),
    },
  }
}

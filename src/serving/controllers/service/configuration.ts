/** The Configuration that a Service wants. */
import { controllerRef } from '../../../kube/api/meta.ts'
import { Configuration } from '../../api/configuration.ts'
import { annotation, label } from '../../api/names.ts'
import type { Service } from '../../api/service.ts'
import { configurationAnnotations } from '../copied-metadata.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'

/** `existing` contributes only the names of other Routes that lead to it. */
export function desiredConfiguration(
  service: Service,
  existing: Configuration | undefined,
): Configuration {
  const { name, namespace, labels, uid } = service.metadata
  return {
    apiVersion: apiVersionOf(Configuration),
    kind: Configuration.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: { ...labels, [label.service]: name, [label.serviceUID]: uid ?? '' },
      annotations: {
        ...configurationAnnotations(service.metadata),
        [annotation.routes]: withRoute(existing?.metadata.annotations?.[annotation.routes], name),
      },
      ownerReferences: [controllerRef(service)],
    },
    spec: { template: service.spec.template },
  }
}

/** Comma-joined names, sorted, with `route` among them. */
function withRoute(routes: string | undefined, route: string): string {
  const names = new Set(routes?.split(',').filter((name) => name !== ''))
  return [...names.add(route)].sort().join(',')
}

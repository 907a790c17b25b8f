/** The Route that a Service wants. */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { label } from '../../api/names.ts'
import { Route } from '../../api/route.ts'
import type { Service } from '../../api/service.ts'
import type { TrafficTarget } from '../../api/traffic-target.ts'
import { routeAnnotations } from '../copied-metadata.ts'

export function desiredRoute(service: Service): Route {
  const { name, namespace, labels } = service.metadata
  return {
    apiVersion: apiVersionOf(Route),
    kind: Route.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: { ...labels, [label.service]: name },
      annotations: routeAnnotations(service.metadata),
      ownerReferences: [controllerRef(service)],
    },
    spec: { traffic: routeTraffic(service) },
  }
}

/** Targets without a Revision mean the Service's own Configuration. */
function routeTraffic({ metadata, spec }: Service): readonly TrafficTarget[] {
  const traffic = spec.traffic?.length ? spec.traffic : [{ latestRevision: true, percent: 100 }]
  return traffic.map((target) => ({
    ...target,
    latestRevision: target.latestRevision ?? !target.revisionName,
    percent: target.percent ?? 0,
    ...(!target.revisionName && { configurationName: metadata.name }),
  }))
}

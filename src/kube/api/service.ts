/**
 * Service (core): a stable name and address for a set of pods. Its
 * addresses are given out by the API server; Knative's Service is in `serving/api`.
 */
import type { Service as ServiceType } from 'kubernetes-types/core/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import { changed } from './container.ts'
import type { Column, KindDefinition } from './kind.ts'
import { commaList, labelList } from './printer.ts'
import { builtin } from './schema.ts'
import { serviceProblems } from './service-problems.ts'
import type { Stored } from './stored.ts'
import { fill, mapSame, refuseInvalid } from './validation.ts'

export type Service = Stored<ServiceType, 'spec'>
type Spec = Service['spec']

const columns: readonly Column<Service>[] = [
  nameColumn,
  {
    name: 'Type',
    type: 'string',
    description: 'How the service can be reached.',
    value: ({ spec }) => spec.type,
  },
  {
    name: 'Cluster-IP',
    type: 'string',
    description: 'The address inside.',
    value: ({ spec }) => spec.clusterIP || '<none>',
  },
  {
    name: 'External-IP',
    type: 'string',
    description: 'Where it can be reached from outside.',
    value: externalIp,
  },
  {
    name: 'Port(s)',
    type: 'string',
    description: 'Ports, with their node ports, and protocols.',
    value: ({ spec }) =>
      commaList(
        (spec.ports ?? []).map(
          ({ port, nodePort, protocol = 'TCP' }) =>
            `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`,
        ),
      ),
  },
  ageColumn,
  {
    name: 'Selector',
    type: 'string',
    priority: 1,
    description: 'Labels of the pods behind it.',
    value: ({ spec }) => labelList(spec.selector),
  },
]

function externalIp({ spec, status }: Service): string {
  const external = spec.externalIPs ?? []
  switch (spec.type) {
    case 'ExternalName':
      return spec.externalName || '<none>'
    case 'LoadBalancer': {
      const balanced = (status?.loadBalancer?.ingress ?? [])
        .map(({ ip, hostname }) => ip || hostname || '')
        .filter((each) => each !== '')
      const all = [...balanced, ...external]
      return all.length > 0 ? all.join(',') : '<pending>'
    }
    default:
      return commaList(external)
  }
}

export const Service: KindDefinition<Service> = {
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  description: 'A Service is a stable name and address for a set of pods.',
  schema: builtin<Service>('io.k8s.api.core.v1.Service'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  nameRule: 'dns1035',
  createOnUpdate: true,
  columns,
  selectableFields: {
    'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '',
    'spec.type': ({ spec }) => spec.type ?? '',
  },
  admit(service, context) {
    if (context.subresource !== '') return service
    const defaulted = changed(service, { spec: defaultSpec(service.spec ?? {}) })
    refuseInvalid(Service, defaulted, serviceProblems(defaulted))
    return context.operation === 'CREATE'
      ? { ...defaulted, status: { loadBalancer: {} } }
      : defaulted
  },
}

function defaultSpec(spec: Spec): Spec {
  const typed = fill(spec, { type: 'ClusterIP', sessionAffinity: 'None' })
  const ported = changed(typed, {
    ...(typed.ports && {
      ports: mapSame(typed.ports, (port) => {
        const filled = fill(port, { protocol: 'TCP' })
        return filled.targetPort === undefined ||
          filled.targetPort === '' ||
          filled.targetPort === 0
          ? { ...filled, targetPort: filled.port }
          : filled
      }),
    }),
  })
  if (ported.type === 'ExternalName') return withoutAddresses(ported)
  const exposed = ported.type === 'NodePort' || ported.type === 'LoadBalancer'
  return fill(ported, {
    internalTrafficPolicy: 'Cluster',
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ...(exposed && { externalTrafficPolicy: 'Cluster' }),
    ...(ported.type === 'LoadBalancer' && { allocateLoadBalancerNodePorts: true }),
    ...(ported.type === 'ClusterIP' &&
      ported.sessionAffinity === 'ClientIP' && {
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
      }),
  })
}

/** An external name has no address of ours; what was left from another type goes. */
function withoutAddresses(spec: Spec): Spec {
  if (!spec.clusterIP && !spec.clusterIPs && !spec.ipFamilies && !spec.ipFamilyPolicy) return spec
  const { clusterIP: _ip, clusterIPs: _ips, ipFamilies: _f, ipFamilyPolicy: _p, ...rest } = spec
  return rest as Spec
}

/**
 * Ingress and IngressClass: Kubernetes' older words for routing by host and path (networking.k8s.io/v1). They are kept
 * for the charts that bring them, and whoever makes one is told that nobody acts on it here.
 */
import type {
  Ingress as IngressType,
  IngressClass as IngressClassType,
} from 'kubernetes-types/networking/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { DeepReadonly, Stored } from './stored.ts'
import { notSupported, refuseInvalid, required, wrong, type Complaints } from './validation.ts'

export type CoreIngress = Stored<IngressType>
export type IngressClass = Stored<IngressClassType>

export const CoreIngress: KindDefinition<CoreIngress> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['ing'],
  namespaced: true,
  description: 'An Ingress says which Services are reached from outside, by host and path.',
  schema: builtin<CoreIngress>('io.k8s.api.networking.v1.Ingress'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Class',
      type: 'string',
      description: 'Who is to act on it.',
      value: ({ spec, metadata }) =>
        spec?.ingressClassName ?? metadata.annotations?.['kubernetes.io/ingress.class'] ?? '<none>',
    },
    {
      name: 'Hosts',
      type: 'string',
      description: 'Hosts of its rules.',
      value: ({ spec }) => hostsCell((spec?.rules ?? []).map(({ host }) => host).filter(Boolean)),
    },
    {
      name: 'Address',
      type: 'string',
      description: 'Where it is reached.',
      value: ({ status }) =>
        (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname).join(','),
    },
    {
      name: 'Ports',
      type: 'string',
      description: 'Ports on which it is reached.',
      value: ({ spec }) => (spec?.tls?.length ? '80, 443' : '80'),
    },
    ageColumn,
  ],
  admit(ingress, context) {
    const { subresource, operation } = context
    if (subresource === 'status') return ingress
    refuseInvalid(CoreIngress, ingress, problems(ingress))
    if (operation === 'CREATE')
      context.warn(
        'Ingress objects are kept, but nothing acts on them here: use a Knative Route or DomainMapping, or an HTTPRoute (gateway.networking.k8s.io)',
      )
    return operation === 'CREATE' ? { ...ingress, status: { loadBalancer: {} } } : ingress
  },
}

function hostsCell(hosts: readonly (string | undefined)[]): string {
  if (hosts.length === 0) return '*'
  const shown = hosts.slice(0, 3).join(',')
  return hosts.length > 3 ? `${shown} + ${hosts.length - 3} more...` : shown
}

type Backend = DeepReadonly<NonNullable<NonNullable<IngressType['spec']>['defaultBackend']>>

function* problems({ spec = {} }: CoreIngress): Complaints {
  const { rules = [], defaultBackend } = spec
  if (rules.length === 0 && !defaultBackend)
    yield wrong('spec', spec, 'either `defaultBackend` or `rules` must be specified')
  if (defaultBackend) yield* backendProblems(defaultBackend, 'spec.defaultBackend')
  for (const [i, { http }] of rules.entries()) {
    if (http && !http.paths?.length) yield required(`spec.rules[${i}].http.paths`)
    for (const [j, { path = '', pathType, backend }] of (http?.paths ?? []).entries()) {
      const at = `spec.rules[${i}].http.paths[${j}]`
      if (!pathType) yield required(`${at}.pathType`, 'pathType must be specified')
      else if (!pathTypes.includes(pathType))
        yield notSupported(`${at}.pathType`, pathType, pathTypes)
      else if (pathType !== 'ImplementationSpecific' && !path.startsWith('/'))
        yield wrong(`${at}.path`, path, 'must be an absolute path')
      yield* backendProblems(backend ?? {}, `${at}.backend`)
    }
  }
}

const pathTypes = ['Exact', 'ImplementationSpecific', 'Prefix']

function* backendProblems({ service, resource }: Backend, at: string): Complaints {
  if (service && resource) yield wrong(at, '', 'cannot set both resource and service backends')
  else if (!service && !resource) yield required(at, 'resource or service backend is required')
  if (!service) return
  if (!service.name) yield required(`${at}.service.name`)
  const { name, number } = service.port ?? {}
  if (!name && !number) yield required(at, 'port name or number is required')
  else if (name && number) yield wrong(at, '', 'cannot set both port name & port number')
}

export const IngressClass: KindDefinition<IngressClass> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  singular: 'ingressclass',
  namespaced: false,
  description: 'An IngressClass names who acts on Ingresses.',
  schema: builtin<IngressClass>('io.k8s.api.networking.v1.IngressClass'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
  columns: [
    nameColumn,
    {
      name: 'Controller',
      type: 'string',
      description: 'Who acts on Ingresses of this class.',
      value: ({ spec }) => spec?.controller ?? '',
    },
    {
      name: 'Parameters',
      type: 'string',
      description: 'Where its settings are.',
      value({ spec }) {
        const { apiGroup, kind, name } = spec?.parameters ?? {}
        if (!name) return '<none>'
        return `${apiGroup ? `${kind}.${apiGroup}` : kind}/${name}`
      },
    },
    ageColumn,
  ],
  admit: (given) =>
    refuseInvalid(IngressClass, given, given.spec?.controller ? [] : [required('spec.controller')]),
}

/** Gateway: an entrance with listeners, to which routes attach (gateway.networking.k8s.io/v1). */
import { ageColumn } from '../../kube/api/columns.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, list, map, object, string, type Static } from '../../kube/api/schema.ts'
import { duplicate, notAllowed, refuseInvalid, type Complaints } from '../../kube/api/validation.ts'
import {
  annotationMap,
  conditions,
  gatewayGroup,
  group,
  hostname,
  kind,
  namespaceName,
  objectName,
  port,
  sameInV1beta1,
  sectionName,
} from './gateway-api.ts'

const labelSelector = object(
  {
    matchLabels: map(string()),
    matchExpressions: list(
      object(
        {
          key: string(),
          operator: string({ enum: ['In', 'NotIn', 'Exists', 'DoesNotExist'] }),
          values: list(string()),
        },
        { required: ['key', 'operator'] },
      ),
    ),
  },
  { 'x-kubernetes-map-type': 'atomic' },
)

const routeGroupKind = object(
  { group: group({ default: gatewayGroup }), kind: kind() },
  {
    required: ['kind'],
  },
)

const secretReference = object(
  {
    group: group({ default: '' }),
    kind: kind({ default: 'Secret' }),
    name: objectName,
    namespace: namespaceName,
  },
  { required: ['name'] },
)

const AllowedRoutes = object(
  {
    namespaces: object(
      {
        from: string({ enum: ['All', 'Selector', 'Same'], default: 'Same' }),
        selector: labelSelector,
      },
      { default: { from: 'Same' } },
    ),
    kinds: list(routeGroupKind, { maxItems: 8 }),
  },
  { default: { namespaces: { from: 'Same' } } },
)

export const Listener = object(
  {
    name: sectionName,
    hostname,
    port,
    protocol: string({
      minLength: 1,
      maxLength: 255,
      pattern:
        '^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9]+$',
    }),
    tls: object({
      mode: string({ enum: ['Terminate', 'Passthrough'], default: 'Terminate' }),
      certificateRefs: list(secretReference, { maxItems: 64 }),
      options: annotationMap,
    }),
    allowedRoutes: AllowedRoutes,
  },
  { required: ['name', 'port', 'protocol'] },
)
export type Listener = Static<typeof Listener>

export const GatewaySpec = object(
  {
    gatewayClassName: objectName,
    listeners: list(Listener, {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      minItems: 1,
      maxItems: 64,
    }),
    addresses: list(
      object(
        {
          type: string({ minLength: 1, maxLength: 253, default: 'IPAddress' }),
          value: string({ minLength: 1, maxLength: 253 }),
        },
        { required: ['value'] },
      ),
      { maxItems: 16 },
    ),
    infrastructure: object({
      labels: map(string({ maxLength: 63 })),
      annotations: annotationMap,
      parametersRef: object(
        { group: group(), kind: kind(), name: objectName },
        { required: ['group', 'kind', 'name'] },
      ),
    }),
  },
  { required: ['gatewayClassName', 'listeners'] },
)
export type GatewaySpec = Static<typeof GatewaySpec>

export const GatewayStatus = object({
  addresses: list(object({ type: string(), value: string() }, { required: ['value'] }), {
    maxItems: 16,
  }),
  conditions,
  listeners: list(
    object(
      {
        name: sectionName,
        supportedKinds: list(routeGroupKind, { maxItems: 8 }),
        attachedRoutes: integer({ format: 'int32' }),
        conditions,
      },
      { required: ['name', 'supportedKinds', 'attachedRoutes', 'conditions'] },
    ),
    {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      maxItems: 64,
    },
  ),
})
export type GatewayStatus = Static<typeof GatewayStatus>

export interface Gateway extends KubeObject {
  readonly spec: GatewaySpec
  readonly status?: GatewayStatus
}

function* problems({ spec }: Gateway): Complaints {
  const seen = new Set<string>()
  for (const [
    i,
    { name, port: number, protocol, hostname: host = '', tls },
  ] of spec.listeners.entries()) {
    const at = `spec.listeners[${i}]`
    if (tls && ['HTTP', 'TCP', 'UDP'].includes(protocol))
      yield notAllowed(
        `${at}.tls`,
        "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
      )
    if (host && ['TCP', 'UDP'].includes(protocol))
      yield notAllowed(
        `${at}.hostname`,
        "hostname must not be specified for protocols ['TCP', 'UDP']",
      )
    const combination = `${number} ${protocol} ${host}`
    if (seen.has(combination))
      yield {
        ...duplicate(at, { name, port: number, protocol, ...(host && { hostname: host }) }),
        detail: `Invalid value: "${name}": Combination of port, protocol and hostname must be unique for each listener`,
      }
    seen.add(combination)
  }
}

const schema = object({ spec: GatewaySpec, status: GatewayStatus }, { required: ['spec'] })

export const Gateway: KindDefinition<Gateway> = {
  group: gatewayGroup,
  version: 'v1',
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gtw'],
  categories: ['gateway-api'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'An entrance with listeners, to which routes attach.',
  admit: (gateway, { subresource }) =>
    subresource === '' ? refuseInvalid(Gateway, gateway, problems(gateway)) : gateway,
  schema,
  versions: [sameInV1beta1(schema)],
  columns: [
    { name: 'Class', type: 'string', value: ({ spec }) => spec.gatewayClassName },
    { name: 'Address', type: 'string', value: ({ status }) => status?.addresses?.[0]?.value },
    {
      name: 'Programmed',
      type: 'string',
      value: ({ status }) => status?.conditions?.find(({ type }) => type === 'Programmed')?.status,
    },
    ageColumn,
  ],
}

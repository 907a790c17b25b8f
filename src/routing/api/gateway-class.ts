/** GatewayClass: who carries out the Gateways of this class (gateway.networking.k8s.io/v1). */
import { ageColumn } from '../../kube/api/columns.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { list, object, string, type Static } from '../../kube/api/schema.ts'
import { refuseInvalid, wrong } from '../../kube/api/validation.ts'
import {
  conditions,
  gatewayGroup,
  group,
  kind,
  namespaceName,
  objectName,
  sameInV1beta1,
} from './gateway-api.ts'

/** The controller that Ebb is; other classes are left alone. */
export const controllerName = 'ebb.dev/gateway'

export const GatewayClassSpec = object(
  {
    controllerName: string({
      minLength: 1,
      maxLength: 253,
      pattern:
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$",
      description: 'Who carries out Gateways of this class, `domain/path`. Cannot be changed.',
    }),
    description: string({ maxLength: 64 }),
    parametersRef: object(
      { group: group(), kind: kind(), name: objectName, namespace: namespaceName },
      { required: ['group', 'kind', 'name'] },
    ),
  },
  { required: ['controllerName'] },
)

export const GatewayClassStatus = object({
  conditions,
  supportedFeatures: list(object({ name: string() }, { required: ['name'] }), {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    maxItems: 64,
  }),
})
export type GatewayClassStatus = Static<typeof GatewayClassStatus>

export interface GatewayClass extends KubeObject {
  readonly spec: Static<typeof GatewayClassSpec>
  readonly status?: GatewayClassStatus
}

const schema = object(
  { spec: GatewayClassSpec, status: GatewayClassStatus },
  { required: ['spec'] },
)

export const GatewayClass: KindDefinition<GatewayClass> = {
  group: gatewayGroup,
  version: 'v1',
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  singular: 'gatewayclass',
  shortNames: ['gc'],
  categories: ['gateway-api'],
  namespaced: false,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Who carries out the Gateways of this class.',
  admit(gatewayClass, { old, subresource }) {
    const moved =
      old && subresource === '' && old.spec.controllerName !== gatewayClass.spec.controllerName
    return refuseInvalid(
      GatewayClass,
      gatewayClass,
      moved
        ? [wrong('spec.controllerName', gatewayClass.spec.controllerName, 'Value is immutable')]
        : [],
    )
  },
  schema,
  versions: [sameInV1beta1(schema)],
  columns: [
    { name: 'Controller', type: 'string', value: ({ spec }) => spec.controllerName },
    {
      name: 'Accepted',
      type: 'string',
      value: ({ status }) => status?.conditions?.find(({ type }) => type === 'Accepted')?.status,
    },
    ageColumn,
    {
      name: 'Description',
      type: 'string',
      priority: 1,
      value: ({ spec }) => spec.description,
    },
  ],
}

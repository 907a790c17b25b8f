/**
 * The shape of VirtualService as far as it has an effect here (networking.istio.io; https://istio.io/latest/docs/reference/config/networking/virtual-service/).
 * The other fields of Istio are kept as they are written; virtual-service.ts warns of those that do nothing.
 */
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import {
  anything,
  boolean,
  integer,
  list,
  map,
  object,
  string,
  type Schema,
  type Static,
} from '../../kube/api/schema.ts'
import { conditions } from './gateway-api.ts'

export const istioGroup = 'networking.istio.io'

export const IstioStringMatch = object(
  { exact: string(), prefix: string(), regex: string() },
  { description: 'Exactly one of exact, prefix and regex (RE2, the whole value).' },
)
export type IstioStringMatch = Static<typeof IstioStringMatch>

export const HTTPMatchRequest = object({
  name: string(),
  uri: IstioStringMatch,
  scheme: IstioStringMatch,
  method: IstioStringMatch,
  authority: IstioStringMatch,
  headers: map(IstioStringMatch),
  queryParams: map(IstioStringMatch),
  ignoreUriCase: boolean(),
  withoutHeaders: map(IstioStringMatch),
  port: integer(),
  sourceLabels: map(string()),
  sourceNamespace: string(),
  gateways: list(string()),
  statPrefix: string(),
})
export type HTTPMatchRequest = Static<typeof HTTPMatchRequest>

const headerOperations = object({
  set: map(string()),
  add: map(string()),
  remove: list(string()),
})
export const IstioHeaders = object({ request: headerOperations, response: headerOperations })
export type IstioHeaders = Static<typeof IstioHeaders>

export const Destination = object(
  {
    host: string({
      description: 'Host inside the cluster; a short name is one of the same namespace.',
    }),
    port: object({ number: integer() }),
    subset: string(),
  },
  { required: ['host'] },
)
export type Destination = Static<typeof Destination>

export const HTTPRouteDestination = object(
  { destination: Destination, weight: integer({ minimum: 0 }), headers: IstioHeaders },
  { required: ['destination'] },
)
export type HTTPRouteDestination = Static<typeof HTTPRouteDestination>

export const IstioRedirect = object({
  uri: string(),
  authority: string(),
  port: integer(),
  derivePort: string(),
  scheme: string(),
  redirectCode: integer(),
})
export type IstioRedirect = Static<typeof IstioRedirect>

const percentage = object({ value: { type: 'number' } as Schema<number> })

export const IstioHTTPRoute = object({
  name: string(),
  match: list(HTTPMatchRequest),
  route: list(HTTPRouteDestination),
  redirect: IstioRedirect,
  directResponse: anything({ description: 'Without effect here.' }),
  delegate: anything({ description: 'Without effect here.' }),
  rewrite: object({ uri: string(), authority: string(), uriRegexRewrite: anything() }),
  timeout: string({ description: 'Duration of the whole request: 1h, 1m, 1s, 1ms.' }),
  retries: anything({ description: 'Without effect here.' }),
  fault: anything({ description: 'Without effect here.' }),
  mirror: Destination,
  mirrors: list(object({ destination: Destination, percentage }, { required: ['destination'] })),
  mirrorPercent: integer(),
  mirror_percent: integer(),
  mirrorPercentage: percentage,
  corsPolicy: anything({ description: 'Without effect here.' }),
  headers: IstioHeaders,
})
export type IstioHTTPRoute = Static<typeof IstioHTTPRoute>

const other = anything({ description: 'Without effect here.' })

export const VirtualServiceSpec = object({
  hosts: list(string(), { description: 'Hosts that the rules are for, `*.` for all below.' }),
  gateways: list(string(), {
    description: 'Entrances, `namespace/name`; without any: inside the cluster.',
  }),
  http: list(IstioHTTPRoute, { description: 'Tried in this order.' }),
  tls: list(other),
  tcp: list(other),
  exportTo: list(string()),
})
export type VirtualServiceSpec = Static<typeof VirtualServiceSpec>

export const VirtualServiceStatus = object({
  conditions,
  observedGeneration: integer({ format: 'int64' }),
  validationMessages: list(anything()),
})
export type VirtualServiceStatus = Static<typeof VirtualServiceStatus>

export interface VirtualService extends KubeObject {
  readonly spec: VirtualServiceSpec
  readonly status?: VirtualServiceStatus
}

/** Enough of the kind to read its objects. */
export const virtualServiceName: Kind<VirtualService> = {
  group: istioGroup,
  version: 'v1',
  kind: 'VirtualService',
  plural: 'virtualservices',
  namespaced: true,
}

/** What a match may ask that cannot be seen here: it takes no request then. */
export const unseenInMatches = [
  'port',
  'sourceLabels',
  'sourceNamespace',
  'withoutHeaders',
] as const satisfies readonly (keyof HTTPMatchRequest)[]

/** True for a field that is there and not an empty object. */
export const isSaid = (value: unknown): boolean =>
  value !== undefined &&
  (typeof value !== 'object' || value === null || Object.keys(value).length > 0)

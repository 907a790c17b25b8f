/** The shape of HTTPRoute (gateway.networking.k8s.io/v1, standard channel and `mirror` fractions): fields, enumerations, defaults, limits. */
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, list, object, string, type Static } from '../../kube/api/schema.ts'
import {
  BackendObjectReference,
  BackendReference,
  conditions,
  gatewayGroup,
  group,
  hostname,
  kind,
  objectName,
  ParentReference,
  port,
  preciseHostname,
  sectionName,
} from './gateway-api.ts'

const headerName = string({
  minLength: 1,
  maxLength: 256,
  pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
})
const byName = {
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
  maxItems: 16,
} as const

const matchType = string({ enum: ['Exact', 'RegularExpression'], default: 'Exact' })

export const HTTPPathMatch = object(
  {
    type: string({
      enum: ['Exact', 'PathPrefix', 'RegularExpression'],
      default: 'PathPrefix',
      description:
        'PathPrefix compares by whole segments; RegularExpression is RE2 and matches the whole path.',
    }),
    value: string({ maxLength: 1024, default: '/' }),
  },
  { default: { type: 'PathPrefix', value: '/' } },
)

const namedMatch = object(
  { type: matchType, name: headerName, value: string({ minLength: 1, maxLength: 4096 }) },
  { required: ['name', 'value'] },
)
const queryMatch = object(
  { type: matchType, name: headerName, value: string({ minLength: 1, maxLength: 1024 }) },
  { required: ['name', 'value'] },
)

export const HTTPRouteMatch = object({
  path: HTTPPathMatch,
  headers: list(namedMatch, byName),
  queryParams: list(queryMatch, byName),
  method: string({
    enum: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'],
  }),
})
export type HTTPRouteMatch = Static<typeof HTTPRouteMatch>

const header = object(
  { name: headerName, value: string({ minLength: 1, maxLength: 4096 }) },
  { required: ['name', 'value'] },
)

export const HTTPHeaderFilter = object({
  set: list(header, byName),
  add: list(header, byName),
  remove: list(string(), { 'x-kubernetes-list-type': 'set', maxItems: 16 }),
})
export type HTTPHeaderFilter = Static<typeof HTTPHeaderFilter>

export const HTTPPathModifier = object(
  {
    type: string({ enum: ['ReplaceFullPath', 'ReplacePrefixMatch'] }),
    replaceFullPath: string({ maxLength: 1024 }),
    replacePrefixMatch: string({ maxLength: 1024 }),
  },
  { required: ['type'] },
)
export type HTTPPathModifier = Static<typeof HTTPPathModifier>

export const HTTPRequestRedirect = object({
  scheme: string({ enum: ['http', 'https'] }),
  hostname: preciseHostname,
  path: HTTPPathModifier,
  port,
  statusCode: integer({ enum: [301, 302, 303, 307, 308], default: 302 }),
})
export type HTTPRequestRedirect = Static<typeof HTTPRequestRedirect>

export const HTTPRequestMirror = object(
  {
    backendRef: BackendReference,
    percent: integer({ format: 'int32', minimum: 0, maximum: 100 }),
    fraction: object(
      {
        numerator: integer({ format: 'int32', minimum: 0 }),
        denominator: integer({ format: 'int32', minimum: 1, default: 100 }),
      },
      { required: ['numerator'] },
    ),
  },
  { required: ['backendRef'] },
)
export type HTTPRequestMirror = Static<typeof HTTPRequestMirror>

export const HTTPRouteFilter = object(
  {
    type: string({
      enum: [
        'RequestHeaderModifier',
        'ResponseHeaderModifier',
        'RequestMirror',
        'RequestRedirect',
        'URLRewrite',
        'ExtensionRef',
      ],
    }),
    requestHeaderModifier: HTTPHeaderFilter,
    responseHeaderModifier: HTTPHeaderFilter,
    requestMirror: HTTPRequestMirror,
    requestRedirect: HTTPRequestRedirect,
    urlRewrite: object({ hostname: preciseHostname, path: HTTPPathModifier }),
    extensionRef: object(
      { group: group(), kind: kind(), name: objectName },
      { required: ['group', 'kind', 'name'] },
    ),
  },
  { required: ['type'] },
)
export type HTTPRouteFilter = Static<typeof HTTPRouteFilter>

export const HTTPBackendRef = object(
  {
    ...BackendObjectReference,
    weight: integer({ format: 'int32', minimum: 0, maximum: 1_000_000, default: 1 }),
    filters: list(HTTPRouteFilter, { maxItems: 16 }),
  },
  { required: ['name'] },
)
export type HTTPBackendRef = Static<typeof HTTPBackendRef>

const duration = string({ pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$' })
const everything = { path: { type: 'PathPrefix', value: '/' } }

export const HTTPRouteRule = object({
  name: sectionName,
  matches: list(HTTPRouteMatch, { maxItems: 64, default: [everything] }),
  filters: list(HTTPRouteFilter, { maxItems: 16 }),
  backendRefs: list(HTTPBackendRef, { maxItems: 16 }),
  timeouts: object({ request: duration, backendRequest: duration }),
})
export type HTTPRouteRule = Static<typeof HTTPRouteRule>

export const HTTPRouteSpec = object({
  parentRefs: list(ParentReference, { maxItems: 32 }),
  hostnames: list(hostname, { maxItems: 16 }),
  rules: list(HTTPRouteRule, { maxItems: 16, default: [{ matches: [everything] }] }),
})
export type HTTPRouteSpec = Static<typeof HTTPRouteSpec>

export const HTTPRouteStatus = object(
  {
    parents: list(
      object(
        { parentRef: ParentReference, controllerName: string(), conditions },
        { required: ['parentRef', 'controllerName', 'conditions'] },
      ),
      { maxItems: 32 },
    ),
  },
  { required: ['parents'] },
)
export type HTTPRouteStatus = Static<typeof HTTPRouteStatus>

export interface HTTPRoute extends KubeObject {
  readonly spec: HTTPRouteSpec
  readonly status?: HTTPRouteStatus
}

/** Enough of the kind to read its objects. */
export const httpRouteName: Kind<HTTPRoute> = {
  group: gatewayGroup,
  version: 'v1',
  kind: 'HTTPRoute',
  plural: 'httproutes',
  namespaced: true,
}

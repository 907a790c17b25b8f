/**
 * What the kinds of the Gateway API share: references, host names, conditions (gateway.networking.k8s.io/v1, standard
 * channel; https://gateway-api.sigs.k8s.io/reference/spec/).
 */
import type { ServedVersion } from '../../kube/api/kind.ts'
import {
  integer,
  list,
  map,
  object,
  string,
  type Schema,
  type Static,
} from '../../kube/api/schema.ts'

export const gatewayGroup = 'gateway.networking.k8s.io'
export const gatewayApiVersion = `${gatewayGroup}/v1`

export const namePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'
const groupPattern = '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'
const kindPattern = '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$'
const namespacePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'

export const group = (options: Parameters<typeof string>[0] = {}): Schema<string> =>
  string({ maxLength: 253, pattern: groupPattern, ...options })
export const kind = (options: Parameters<typeof string>[0] = {}): Schema<string> =>
  string({ minLength: 1, maxLength: 63, pattern: kindPattern, ...options })
export const objectName = string({ minLength: 1, maxLength: 253 })
export const namespaceName = string({ minLength: 1, maxLength: 63, pattern: namespacePattern })
export const sectionName = string({ minLength: 1, maxLength: 253, pattern: namePattern })
export const port = integer({ format: 'int32', minimum: 1, maximum: 65_535 })
export const hostname = string({
  minLength: 1,
  maxLength: 253,
  pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
})
export const preciseHostname = string({ minLength: 1, maxLength: 253, pattern: namePattern })
export const annotationMap = map(string({ maxLength: 4096 }))

/** metav1.Condition: unlike Knative's, each has a reason. */
export interface GatewayCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

const condition = object(
  {
    type: string({ maxLength: 316 }),
    status: string({ enum: ['True', 'False', 'Unknown'] }),
    reason: string({ minLength: 1, maxLength: 1024 }),
    message: string({ maxLength: 32_768 }),
    observedGeneration: integer({ format: 'int64', minimum: 0 }),
    lastTransitionTime: string({ format: 'date-time' }),
  },
  { required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'] },
)
export const conditions = list(condition, {
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
  maxItems: 8,
  description: 'What was observed of the object.',
}) as Schema<readonly GatewayCondition[]>

export const ParentReference = object(
  {
    group: group({ default: gatewayGroup }),
    kind: kind({ default: 'Gateway' }),
    namespace: namespaceName,
    name: objectName,
    sectionName,
    port,
  },
  { required: ['name'], description: 'What the route attaches to: a Gateway.' },
)
export type ParentReference = Static<typeof ParentReference>

export const BackendObjectReference = {
  group: group({ default: '' }),
  kind: kind({ default: 'Service' }),
  name: objectName,
  namespace: namespaceName,
  port,
} as const
export const BackendReference = object(BackendObjectReference, { required: ['name'] })
export type BackendReference = Static<typeof BackendReference>

/** v1beta1 of a kind, which has the shape of v1. */
export const sameInV1beta1 = (schema: Schema): ServedVersion => ({
  version: 'v1beta1',
  schema,
  toStorage: (object) => ({ ...object, apiVersion: gatewayApiVersion }),
  fromStorage: (object) => ({ ...object, apiVersion: `${gatewayGroup}/v1beta1` }),
})

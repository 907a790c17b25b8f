/**
 * Ingress ("KIngress"): hosts, paths and headers and the backends they go to, for any ingress implementation
 * (networking.internal.knative.dev/v1alpha1; contract serving §1.7 and 4.2).
 */
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import {
  boolean,
  integer,
  intOrString,
  list,
  map,
  object,
  string,
  type Schema,
  type Static,
} from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from './columns.ts'
import { networkingInternalGroup } from './names.ts'
import { statusFields } from './status.ts'

export type IngressVisibility = 'ExternalIP' | 'ClusterLocal'
export type HttpOption = 'Enabled' | 'Redirected'

export const IngressBackendSplit = object(
  {
    appendHeaders: map(string(), { description: 'Headers set on requests of this share.' }),
    percent: integer({ description: 'Share of the requests; the splits of a path sum to 100.' }),
    serviceName: string(),
    serviceNamespace: string(),
    servicePort: intOrString(),
  },
  { required: ['serviceName', 'serviceNamespace', 'servicePort'] },
)
export type IngressBackendSplit = Static<typeof IngressBackendSplit>

export const IngressPath = object(
  {
    appendHeaders: map(string(), { description: 'Headers set on all requests of this path.' }),
    headers: map(object({ exact: string() }, { required: ['exact'] }), {
      description: 'Headers a request must have.',
    }),
    path: string({ description: 'Prefix of the path; all paths when empty.' }),
    rewriteHost: string({ description: 'Host the backend sees.' }),
    splits: list(IngressBackendSplit),
  },
  { required: ['splits'] },
)
export type IngressPath = Static<typeof IngressPath>

export const IngressRule = object({
  hosts: list(string()),
  http: object({ paths: list(IngressPath) }, { required: ['paths'] }),
  visibility: string({ description: 'ExternalIP or ClusterLocal.' }) as Schema<IngressVisibility>,
})
export type IngressRule = Static<typeof IngressRule>

export const IngressTls = object(
  { hosts: list(string()), secretName: string(), secretNamespace: string() },
  { required: ['secretName', 'secretNamespace'] },
)
export type IngressTls = Static<typeof IngressTls>

export const IngressSpec = object({
  httpOption: string({ description: 'Enabled or Redirected.' }) as Schema<HttpOption>,
  rules: list(IngressRule),
  tls: list(IngressTls),
})
export type IngressSpec = Static<typeof IngressSpec>

const loadBalancer = object({
  ingress: list(
    object({
      domain: string(),
      domainInternal: string(),
      ip: string(),
      meshOnly: boolean(),
    }),
  ),
})

export const IngressStatus = object({
  ...statusFields,
  privateLoadBalancer: loadBalancer,
  publicLoadBalancer: loadBalancer,
})
export type IngressStatus = Static<typeof IngressStatus>

export interface Ingress extends KubeObject {
  readonly spec: IngressSpec
  readonly status?: IngressStatus
}

/** What Ready of an Ingress depends on. */
export const ingressConditions = conditionSet({ dependents: ['NetworkConfigured', 'LoadBalancerReady'] })

export const Ingress: KindDefinition<Ingress> = {
  group: networkingInternalGroup,
  version: 'v1alpha1',
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['kingress', 'king'],
  categories: ['knative-internal', 'networking'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Which hosts and paths go to which backends. Made by the system.',
  schema: object({ spec: IngressSpec, status: IngressStatus }),
  columns: readyColumns,
}

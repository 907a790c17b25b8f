/**
 * Ingress ("KIngress"): hosts, paths and headers and the backends they go to, for any ingress implementation
 * (networking.internal.knative.dev/v1alpha1).
 */
import { admission } from '../../knative/admission.ts'
import {
  genericError,
  invalidValue,
  missingField,
  missingOneOf,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
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
import { readyColumns } from '../../knative/columns.ts'
import { networkingInternalGroup } from './names.ts'
import { statusFields } from '../../knative/status.ts'

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

/** An Ingress with visibility, and the percent of lone splits, written out. */
export function defaultIngress(ingress: Ingress): Ingress {
  const rules = ingress.spec?.rules?.map((rule): IngressRule => {
    const paths = rule.http?.paths.map((path): IngressPath => {
      const [only, ...others] = path.splits
      if (!only || others.length > 0 || only.percent) return path
      return { ...path, splits: [{ ...only, percent: 100 }] }
    })
    return {
      ...rule,
      ...(rule.http && paths && { http: { ...rule.http, paths } }),
      visibility: rule.visibility || 'ExternalIP',
    }
  })
  return rules ? { ...ingress, spec: { ...ingress.spec, rules } } : ingress
}

function* validate({ metadata, spec }: Ingress): Generator<FieldError> {
  const rules = spec?.rules ?? []
  if (rules.length === 0) yield missingField('rules')
  for (const [i, rule] of rules.entries())
    yield* via(`rules[${i}]`, validateRule(rule, metadata.namespace ?? ''))
  for (const [i, tls] of (spec?.tls ?? []).entries()) {
    if (!tls.hosts?.length) yield missingField(`tls[${i}].hosts`)
    if (!tls.secretName) yield missingField(`tls[${i}].secretName`)
    if (!tls.secretNamespace) yield missingField(`tls[${i}].secretNamespace`)
  }
}

function* validateRule(rule: IngressRule, namespace: string): Generator<FieldError> {
  const paths = rule.http?.paths ?? []
  if (!rule.hosts?.length) yield missingField('hosts')
  if (!rule.http) yield missingField('http')
  else if (paths.length === 0) yield missingField('http.paths')
  for (const [i, path] of paths.entries())
    yield* via(`http.paths[${i}]`, validatePath(path, namespace))
}

function* validatePath({ splits }: IngressPath, namespace: string): Generator<FieldError> {
  if (splits.length === 0) {
    yield missingOneOf('splits')
    return
  }
  let total = 0
  for (const [i, split] of splits.entries()) {
    const at = `splits[${i}]`
    const { percent = 0, serviceName, serviceNamespace, servicePort } = split
    if (percent < 0 || percent > 100) yield outOfBounds(percent, 0, 100, `${at}.percent`)
    total += percent
    if (!serviceName) yield missingField(`${at}.serviceName`)
    if (!servicePort) yield missingField(`${at}.servicePort`)
    if (!serviceNamespace) yield missingField(`${at}.serviceNamespace`)
    else if (serviceNamespace !== namespace)
      yield invalidValue(
        serviceNamespace,
        `${at}.serviceNamespace`,
        'service namespace must match ingress namespace',
      )
  }
  if (total !== 100)
    yield genericError(`traffic split percentage must total to 100, but was ${total}`, 'splits')
}

/** What Ready of an Ingress depends on. */
export const ingressConditions = conditionSet({
  dependents: ['NetworkConfigured', 'LoadBalancerReady'],
})

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
  admit: admission({
    defaults: defaultIngress,
    validate: (ingress) => via('spec', validate(ingress)),
  }),
  schema: object({ spec: IngressSpec, status: IngressStatus }),
  columns: readyColumns,
}

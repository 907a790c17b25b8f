/**
 * DomainMapping: serves a Service, or anything with a cluster-local address, under a domain of one's own, which is its
 * name (serving.knative.dev/v1beta1).
 */
import { admission } from '../../knative/admission.ts'
import { conditionSet } from '../../knative/conditions.ts'
import {
  disallowedFields,
  genericError,
  missingField,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { labelProblem, sameJson, subdomainProblem } from '../../kube/api/validation.ts'
import { readyColumns } from '../../knative/columns.ts'
import { withUserInfo } from './metadata.ts'
import { clusterDomain, servingGroup } from './names.ts'
import { Addressable, statusFields } from '../../knative/status.ts'

export const KReference = object({
  address: string({ description: 'Which of several addresses of the object.' }),
  apiVersion: string({ description: 'Of the object that is mapped.' }),
  group: string(),
  kind: string({ description: 'Of the object that is mapped: Service, Route, …' }),
  name: string({ description: 'Of the object that is mapped.' }),
  namespace: string({ description: 'The namespace of the DomainMapping itself, if any is said.' }),
})
export type KReference = Static<typeof KReference>

export const DomainMappingSpec = object({
  ref: KReference,
  tls: object(
    { secretName: string({ description: 'A Secret of type kubernetes.io/tls, used as it is.' }) },
    { required: ['secretName'] },
  ),
})
export type DomainMappingSpec = Static<typeof DomainMappingSpec>

export const DomainMappingStatus = object({
  ...statusFields,
  address: Addressable,
  url: string({ description: 'Where it is served, with scheme.' }),
})
export type DomainMappingStatus = Static<typeof DomainMappingStatus>

export interface DomainMapping extends KubeObject {
  readonly spec: DomainMappingSpec
  readonly status?: DomainMappingStatus
}

const defaultRef = (mapping: DomainMapping): DomainMapping => {
  const { ref } = mapping.spec ?? {}
  const namespace = ref?.namespace || mapping.metadata.namespace || ''
  return { ...mapping, spec: { ...mapping.spec, ref: { ...ref, namespace } } }
}

function defaults(sent: DomainMapping, context: AdmissionContext<DomainMapping>): DomainMapping {
  const mapping = defaultRef(sent)
  const { old } = context
  return withUserInfo(mapping, context, !old || !sameJson(mapping.spec, defaultRef(old).spec))
}

function* validate({ metadata, spec }: DomainMapping): Generator<FieldError> {
  const { name, namespace = '', generateName } = metadata
  if (generateName) yield disallowedFields('metadata.generateName')
  const problem = domainProblem(name)
  if (problem) yield genericError(`invalid name "${name}": ${problem}`, 'metadata.name')
  if (name === clusterDomain || name.endsWith(`.${clusterDomain}`))
    yield genericError(
      `invalid name "${name}": must not be a subdomain of cluster local domain "${clusterDomain}"`,
      'metadata.name',
    )
  yield* via('spec.ref', validateRef(spec.ref ?? {}, namespace))
}

function* validateRef(ref: KReference, namespace: string): Generator<FieldError> {
  if (!ref.name) yield missingField('name')
  if (!ref.kind) yield missingField('kind')
  if (ref.group) yield disallowedFields('group')
  else if (!ref.apiVersion) yield missingField('apiVersion')
  if (ref.namespace !== namespace)
    yield {
      message: 'mismatched namespaces',
      paths: ['namespace'],
      details: `parent namespace: "${namespace}" does not match ref: "${ref.namespace ?? ''}"`,
    }
}

/** What is wrong with a fully qualified domain name, as Kubernetes says it. */
function domainProblem(name: string): string | undefined {
  if (name === '') return 'name: Required value'
  const said = (value: string, why: string) => `name: Invalid value: "${value}": ${why}`
  const problem = subdomainProblem(name)
  if (problem) return said(name, problem)
  const parts = name.split('.')
  if (parts.length < 2)
    return said(name, 'should be a domain with at least two segments separated by dots')
  for (const part of parts) {
    const wrong = labelProblem(part)
    if (wrong) return said(part, wrong)
  }
  return undefined
}

/** What Ready of a DomainMapping depends on. */
export const domainMappingConditions = conditionSet({
  dependents: ['DomainClaimed', 'ReferenceResolved', 'IngressReady', 'CertificateProvisioned'],
})

export const DomainMapping: KindDefinition<DomainMapping> = {
  group: servingGroup,
  version: 'v1beta1',
  kind: 'DomainMapping',
  plural: 'domainmappings',
  singular: 'domainmapping',
  shortNames: ['dm'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Serves a Service, or anything with a cluster-local address, under another domain.',
  admit: admission({ defaults, validate }),
  schema: object({ spec: DomainMappingSpec, status: DomainMappingStatus }),
  columns: [{ name: 'URL', type: 'string', value: ({ status }) => status?.url }, ...readyColumns],
}

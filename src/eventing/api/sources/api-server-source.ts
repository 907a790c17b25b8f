/**
 * ApiServerSource: an event for each change of objects in the API, seen with the rights of a service account
 * (sources.knative.dev/v1).
 */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import {
  genericError,
  invalidValue,
  missingField,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import type { KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { builtin, list, object, string, type Static } from '../../../kube/api/schema.ts'
import type { LabelSelector } from '../../../kube/api/selectors.ts'
import { featuresOf } from '../config/read.ts'
import { firstApiServerSpec, firstSourceVersion } from '../conversion/sources.ts'
import { definitionLabels, sourcesGroup, validationWebhook } from '../names.ts'
import {
  olderVersions,
  registered,
  sourceColumns,
  sourceDefaults,
  sourceKindFields,
} from './source-kind.ts'
import { sourceSpecFields, sourceStatusFields, validateSourceSpec } from '../duck/source-spec.ts'
import { filterSchema, validateFilters } from '../eventing/trigger-filter.ts'

const selector = builtin<LabelSelector>('io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector')

export const ApiServerSourceSpec = object(
  {
    ...sourceSpecFields,
    resources: list(
      object({
        apiVersion: string({ description: 'v1, apps/v1…' }),
        kind: string({ description: 'Of the objects that are followed.' }),
        selector,
      }),
      { description: 'What is followed.' },
    ),
    owner: object(
      { apiVersion: string(), kind: string() },
      { description: 'Only objects whose controller is of this kind.' },
    ),
    mode: string({
      description: 'Reference: events say which object; Resource: they carry the whole of it.',
    }),
    serviceAccountName: string({ description: 'With whose rights; default when absent.' }),
    namespaceSelector: {
      ...selector,
      description: 'Namespaces; without it, the own one.',
    } as typeof selector,
    filters: list(filterSchema, { description: 'Only events that all of them match.' }),
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
)
export type ApiServerSourceSpec = Static<typeof ApiServerSourceSpec>

export const ApiServerSourceStatus = object({
  ...sourceStatusFields,
  namespaces: list(string(), { description: 'Namespaces that are followed.' }),
})
export type ApiServerSourceStatus = Static<typeof ApiServerSourceStatus>

export interface ApiServerSource extends KubeObject {
  readonly spec: ApiServerSourceSpec
  readonly status?: ApiServerSourceStatus
}

export const withApiServerDefaults = (source: ApiServerSource): ApiServerSource => ({
  ...source,
  spec: {
    ...source.spec,
    mode: source.spec?.mode || 'Reference',
    serviceAccountName: source.spec?.serviceAccountName || 'default',
  },
})

/** Complaints relative to `spec`. */
export function* validateApiServerSpec(spec: ApiServerSourceSpec): Generator<FieldError> {
  yield* validateSourceSpec(spec)
  if (spec.mode !== 'Reference' && spec.mode !== 'Resource')
    yield invalidValue(spec.mode ?? '', 'mode')
  if ((spec.resources ?? []).length === 0) yield missingField('resources')
  for (const [i, { apiVersion = '', kind = '' }] of (spec.resources ?? []).entries())
    yield* via(`resources[${i}]`, validateType(apiVersion, kind))
  if (spec.owner)
    yield* via('owner', validateType(spec.owner.apiVersion ?? '', spec.owner.kind ?? ''))
  if (spec.filters) yield* via('filters', validateFilters(spec.filters))
}

function* validateType(apiVersion: string, kind: string): Generator<FieldError> {
  if (apiVersion.split('/').length > 2 || /^\s*$/.test(apiVersion))
    yield invalidValue(apiVersion, 'apiVersion')
  if (kind.trim() === '') yield missingField('kind')
  if (/[^A-Za-z0-9]/.test(kind.trim()))
    yield genericError(`${JSON.stringify(kind)} is no kind: letters and digits alone`, 'kind')
}

/** Types of the events of a source in this mode. */
export const apiServerEventTypes = (mode: string | undefined): readonly string[] =>
  ['add', 'delete', 'update'].map(
    (change) => `dev.knative.apiserver.${mode === 'Resource' ? 'resource' : 'ref'}.${change}`,
  )

export const apiServerSourceConditions = conditionSet({
  dependents: ['SinkProvided', 'Deployed', 'SufficientPermissions', 'OIDCIdentityCreated'],
})

const schema = object({ spec: ApiServerSourceSpec, status: ApiServerSourceStatus })

/** `Ref` is what the first versions said. */
const fromOldMode = (source: KubeObject): KubeObject => {
  const { spec } = source as Partial<ApiServerSource>
  const next: KubeObject & { readonly spec: unknown } = {
    ...source,
    spec: { ...spec, ...(spec?.mode === 'Ref' && { mode: 'Reference' }) },
  }
  return next
}

export const ApiServerSource: KindDefinition<ApiServerSource> = {
  ...sourceKindFields,
  version: 'v1',
  kind: 'ApiServerSource',
  plural: 'apiserversources',
  singular: 'apiserversource',
  description: 'Sends an event for each change of objects in the API.',
  definition: {
    labels: definitionLabels.source,
    annotations: registered(
      ...apiServerEventTypes('Resource'),
      ...apiServerEventTypes('Reference'),
    ),
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withApiServerDefaults),
    *validate({ spec }, context) {
      yield* via('spec', validateApiServerSpec(spec))
      if (spec.filters?.length && !featuresOf(context).newApiServerSourceFilters)
        yield genericError(
          'Filters is not empty but the NewAPIServerFilters feature is disabled.',
          'spec.filters',
        )
    },
  }),
  schema,
  columns: sourceColumns<ApiServerSource>(),
  versions: [
    ...olderVersions(sourcesGroup, 'v1', ['v1beta1', 'v1alpha2'], schema, fromOldMode),
    firstSourceVersion('ApiServerSource', firstApiServerSpec),
  ],
}

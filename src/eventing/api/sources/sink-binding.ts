/**
 * SinkBinding: tells the programs of somebody else's pods where to send events, by environment variables
 * (sources.knative.dev/v1).
 */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import {
  missingField,
  missingOneOf,
  multipleOneOf,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import type { KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { builtin, object, string, type Static } from '../../../kube/api/schema.ts'
import type { LabelSelector } from '../../../kube/api/selectors.ts'
import { firstSourceVersion } from '../conversion/sources.ts'
import { definitionLabels, sourcesGroup, validationWebhook } from '../names.ts'
import { olderVersions, sourceColumns, sourceDefaults, sourceKindFields } from './source-kind.ts'
import { sourceSpecFields, sourceStatusFields, validateSourceSpec } from '../duck/source-spec.ts'

export const Subject = object(
  {
    apiVersion: string(),
    kind: string(),
    namespace: string(),
    name: string({ description: 'The one object.' }),
    selector: builtin<LabelSelector>('io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector'),
  },
  { description: 'Whose pods are told.' },
)
export type Subject = Static<typeof Subject>

export const SinkBindingSpec = object({ ...sourceSpecFields, subject: Subject })
export type SinkBindingSpec = Static<typeof SinkBindingSpec>

export const SinkBindingStatus = object({ ...sourceStatusFields, oidcTokenSecretName: string() })
export type SinkBindingStatus = Static<typeof SinkBindingStatus>

export interface SinkBinding extends KubeObject {
  readonly spec: SinkBindingSpec
  readonly status?: SinkBindingStatus
}

const withDefaults = (binding: SinkBinding): SinkBinding => {
  const { spec, metadata } = binding
  const { namespace = '' } = metadata
  const sink = spec?.sink?.ref && {
    ...spec.sink,
    ref: { ...spec.sink.ref, namespace: spec.sink.ref.namespace || namespace },
  }
  return {
    ...binding,
    spec: {
      ...spec,
      ...(sink && { sink }),
      ...(spec?.subject && {
        subject: { ...spec.subject, namespace: spec.subject.namespace || namespace },
      }),
    },
  }
}

function* validate({ spec, metadata }: SinkBinding): Generator<FieldError> {
  yield* via('spec', validateSourceSpec(spec))
  const { subject } = spec
  if (!subject) {
    yield missingField('spec.subject')
    return
  }
  yield* via('spec.subject', validateSubject(subject, metadata.namespace ?? ''))
}

function* validateSubject(subject: Subject, own: string): Generator<FieldError> {
  const { apiVersion, kind, namespace, name, selector } = subject
  if (!apiVersion) yield missingField('apiVersion')
  if (!kind) yield missingField('kind')
  if (!name && !selector) yield missingOneOf('name', 'selector')
  if (name && selector) yield multipleOneOf('name', 'selector')
  if (namespace && namespace !== own)
    yield {
      message: `invalid value: ${namespace}`,
      paths: ['namespace'],
      details: `a subject is of the same namespace as its SinkBinding: ${own}`,
    }
}

export const sinkBindingConditions = conditionSet({
  dependents: [
    'SinkBindingAvailable',
    'SinkProvided',
    'OIDCIdentityCreated',
    'OIDCTokenSecretCreated',
    'TrustBundlePropagated',
  ],
})

const schema = object({ spec: SinkBindingSpec, status: SinkBindingStatus })

export const SinkBinding: KindDefinition<SinkBinding> = {
  ...sourceKindFields,
  categories: [...sourceKindFields.categories, 'bindings'],
  version: 'v1',
  kind: 'SinkBinding',
  plural: 'sinkbindings',
  singular: 'sinkbinding',
  description: 'Tells programs of other objects, by environment variables, where to send events.',
  definition: {
    labels: definitionLabels.binding,
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withDefaults),
    validate,
  }),
  schema,
  columns: sourceColumns<SinkBinding>(),
  versions: [
    ...olderVersions(sourcesGroup, 'v1', ['v1beta1', 'v1alpha2'], schema),
    firstSourceVersion('SinkBinding'),
  ],
}

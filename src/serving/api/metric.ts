/** Metric: what the autoscaler measures for a Revision, and over which windows (autoscaling.internal.knative.dev/v1alpha1). */
import { admission } from '../../knative/admission.ts'
import { missingField, type FieldError } from '../../knative/field-error.ts'
import type { KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { readyColumns } from '../../knative/columns.ts'
import { autoscalingInternalGroup } from './names.ts'
import { statusFields } from '../../knative/status.ts'

export const MetricSpec = object(
  {
    panicWindow: integer({ format: 'int64', description: 'The short window, in nanoseconds.' }),
    scrapeTarget: string({ description: 'The k8s Service whose pods are measured.' }),
    stableWindow: integer({ format: 'int64', description: 'The long window, in nanoseconds.' }),
  },
  { required: ['panicWindow', 'scrapeTarget', 'stableWindow'] },
)
export type MetricSpec = Static<typeof MetricSpec>

export const MetricStatus = object({ ...statusFields })
export type MetricStatus = Static<typeof MetricStatus>

export interface Metric extends KubeObject {
  readonly spec: MetricSpec
  readonly status?: MetricStatus
}

function* validate({ spec }: Metric): Generator<FieldError> {
  if (!spec?.stableWindow) yield missingField('spec.stableWindow')
  if (!spec?.panicWindow) yield missingField('spec.panicWindow')
}

/** A Metric's Ready is set directly. */
export const metricConditions = conditionSet({ dependents: [] })

export const Metric: KindDefinition<Metric> = {
  group: autoscalingInternalGroup,
  version: 'v1alpha1',
  kind: 'Metric',
  plural: 'metrics',
  singular: 'metric',
  categories: ['knative-internal', 'autoscaling'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'What is measured to scale a Revision. Made by the system.',
  admit: admission({ validate }),
  schema: object({ spec: MetricSpec, status: MetricStatus }),
  columns: readyColumns,
}

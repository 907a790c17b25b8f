/** PodAutoscaler: how many pods a Revision is to have (autoscaling.internal.knative.dev/v1alpha1). */
import { admission } from '../../knative/admission.ts'
import { missingField, via, type FieldError } from '../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { integer, object, string, type Schema, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { autoscalerClass, defaultMetric, validateAutoscaling } from './autoscaling-annotations.ts'
import { readyColumns } from '../../knative/columns.ts'
import type { AutoscalerConfig } from './config/autoscaler.ts'
import { annotation, autoscalingInternalGroup } from './names.ts'
import { readServingConfigs } from './serving-configs.ts'
import { objectReference, statusFields } from '../../knative/status.ts'

/** How traffic is spoken: decides the port of the Services (80 http, 81 http2). */
export type ProtocolType = 'http1' | 'h2c'

/** Unreachable: no Route points at the Revision, so min-scale does not hold. '' = not known yet. */
export type Reachability = '' | 'Reachable' | 'Unreachable'

export const protocolType: Schema<ProtocolType> = string({
  description: 'http1 or h2c.',
}) as Schema<ProtocolType>

export const PodAutoscalerSpec = object(
  {
    containerConcurrency: integer({
      format: 'int64',
      description: 'The Revision’s containerConcurrency; 0 = no limit.',
    }),
    protocolType,
    reachability: string({
      description: 'Reachable, Unreachable or empty.',
    }) as Schema<Reachability>,
    scaleTargetRef: objectReference,
  },
  { required: ['protocolType', 'scaleTargetRef'] },
)
export type PodAutoscalerSpec = Static<typeof PodAutoscalerSpec>

export const PodAutoscalerStatus = object({
  ...statusFields,
  actualScale: integer({ format: 'int32', description: 'Pods that are ready.' }),
  desiredScale: integer({ format: 'int32', description: 'Pods wanted; -1 = not known.' }),
  metricsServiceName: string(),
  serviceName: string({ description: 'The k8s Service of the Revision.' }),
})
export type PodAutoscalerStatus = Static<typeof PodAutoscalerStatus>

export interface PodAutoscaler extends KubeObject {
  readonly spec: PodAutoscalerSpec
  readonly status?: PodAutoscalerStatus
}

/** A PodAutoscaler with its class and metric written out as annotations. */
export function defaultPodAutoscaler(
  autoscaler: PodAutoscaler,
  config: AutoscalerConfig,
): PodAutoscaler {
  const { metadata } = autoscaler
  const className = autoscalerClass(metadata.annotations, config)
  return {
    ...autoscaler,
    metadata: {
      ...metadata,
      annotations: {
        [annotation.autoscalingMetric]: defaultMetric(className),
        ...metadata.annotations,
        [annotation.autoscalingClass]: className,
      },
    },
  }
}

function* validate(
  { metadata, spec }: PodAutoscaler,
  context: AdmissionContext<PodAutoscaler>,
): Generator<FieldError> {
  yield* via(
    'metadata.annotations',
    validateAutoscaling(metadata.annotations, readServingConfigs(context).autoscaler),
  )
  for (const field of ['apiVersion', 'kind', 'name'] as const)
    if (!spec?.scaleTargetRef?.[field]) yield missingField(`spec.scaleTargetRef.${field}`)
}

/** What Ready of a PodAutoscaler depends on. */
export const podAutoscalerConditions = conditionSet({
  dependents: ['Active', 'ScaleTargetInitialized', 'SKSReady'],
})

export const PodAutoscaler: KindDefinition<PodAutoscaler> = {
  group: autoscalingInternalGroup,
  version: 'v1alpha1',
  kind: 'PodAutoscaler',
  plural: 'podautoscalers',
  singular: 'podautoscaler',
  shortNames: ['kpa', 'pa'],
  categories: ['knative-internal', 'autoscaling'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Decides how many pods a Revision has. Made by the system.',
  admit: admission({
    defaults: (autoscaler, context) =>
      defaultPodAutoscaler(autoscaler, readServingConfigs(context).autoscaler),
    validate,
  }),
  schema: object({ spec: PodAutoscalerSpec, status: PodAutoscalerStatus }),
  columns: [
    { name: 'DesiredScale', type: 'integer', value: ({ status }) => status?.desiredScale },
    { name: 'ActualScale', type: 'integer', value: ({ status }) => status?.actualScale },
    ...readyColumns,
  ],
}

/** HorizontalPodAutoscaler: the size of a workload by what its pods use (autoscaling/v2, and v1). */
import type { HorizontalPodAutoscaler as AutoscalerType } from 'kubernetes-types/autoscaling/v2.js'
import { ageColumn, nameColumn } from './columns.ts'
import { changed } from './container.ts'
import { oldAutoscaler } from './horizontal-pod-autoscaler-v1.ts'
import type { KindDefinition } from './kind.ts'
import { canonicalQuantity, compareQuantities } from './quantity.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import {
  fill,
  notNegative,
  notSupported,
  refuseInvalid,
  required,
  wrong,
  type Complaints,
} from './validation.ts'

export type HorizontalPodAutoscaler = Stored<AutoscalerType, 'spec'>
export type AutoscalerSpec = HorizontalPodAutoscaler['spec']
export type MetricSpec = NonNullable<AutoscalerSpec['metrics']>[number]
type MetricStatus = NonNullable<
  NonNullable<HorizontalPodAutoscaler['status']>['currentMetrics']
>[number]
export type Behavior = NonNullable<AutoscalerSpec['behavior']>
export type ScalingRules = NonNullable<Behavior['scaleUp']>

export const HorizontalPodAutoscaler: KindDefinition<HorizontalPodAutoscaler> = {
  group: 'autoscaling',
  version: 'v2',
  kind: 'HorizontalPodAutoscaler',
  plural: 'horizontalpodautoscalers',
  singular: 'horizontalpodautoscaler',
  shortNames: ['hpa'],
  categories: ['all'],
  namespaced: true,
  description:
    'A HorizontalPodAutoscaler sets the size of a workload by what its pods use of processor and memory.',
  schema: builtin<HorizontalPodAutoscaler>('io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler'),
  flavour: 'builtin',
  hasStatus: true,
  hasGeneration: false,
  versions: [oldAutoscaler],
  columns: [
    nameColumn,
    {
      name: 'Reference',
      type: 'string',
      description: 'What is scaled.',
      value: ({ spec }) => `${spec.scaleTargetRef?.kind}/${spec.scaleTargetRef?.name}`,
    },
    {
      name: 'Targets',
      type: 'string',
      description: 'What is measured, of what is aimed at.',
      value: targetsCell,
    },
    {
      name: 'MinPods',
      type: 'string',
      description: 'Fewest pods.',
      value: ({ spec }) => String(spec.minReplicas ?? '<unset>'),
    },
    {
      name: 'MaxPods',
      type: 'string',
      description: 'Most pods.',
      value: ({ spec }) => String(spec.maxReplicas),
    },
    {
      name: 'Replicas',
      type: 'string',
      description: 'Pods when it last looked.',
      value: ({ status }) => String(status?.currentReplicas ?? 0),
    },
    ageColumn,
  ],
  admit(autoscaler, { subresource, operation }) {
    if (subresource === 'status') return autoscaler
    const defaulted = changed(autoscaler, { spec: defaultSpec(autoscaler.spec ?? {}) })
    refuseInvalid(HorizontalPodAutoscaler, defaulted, problems(defaulted))
    return operation === 'CREATE'
      ? { ...defaulted, status: { currentMetrics: null, desiredReplicas: 0 } as never }
      : defaulted
  },
}

/** A metric as the table and `describe` show it: `cpu: 12%/80%`. */
function targetsCell({ spec, status }: HorizontalPodAutoscaler): string {
  const cells = (spec.metrics ?? []).map((metric, i) =>
    metricCell(metric, status?.currentMetrics?.[i]),
  )
  if (cells.length === 0) return '<none>'
  const shown = cells.slice(0, 2).join(', ')
  return cells.length > 2 ? `${shown} + ${cells.length - 2} more...` : shown
}

function metricCell(metric: MetricSpec, current: MetricStatus | undefined): string {
  const source = metric.resource ?? metric.containerResource
  if (source) {
    const now = (current?.resource ?? current?.containerResource)?.current
    const { averageUtilization, averageValue } = source.target ?? {}
    if (averageValue !== undefined)
      return `${source.name}: ${now?.averageValue ?? '<unknown>'}/${averageValue}`
    const percent = now?.averageUtilization
    return `${source.name}: ${percent === undefined ? '<unknown>' : `${percent}%`}/${averageUtilization === undefined ? '<auto>' : `${averageUtilization}%`}`
  }
  const other = metric.pods ?? metric.object ?? metric.external
  const { averageValue, value } = other?.target ?? {}
  return averageValue === undefined ? `<unknown>/${value}` : `<unknown>/${averageValue} (avg)`
}

function defaultSpec(spec: AutoscalerSpec): AutoscalerSpec {
  const filled = fill(spec, {
    minReplicas: 1,
    metrics: [
      {
        type: 'Resource',
        resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
      },
    ],
  })
  const { behavior } = filled
  return changed(filled, {
    metrics: (filled.metrics ?? []).map(canonicalMetric),
    ...(behavior && {
      behavior: {
        scaleUp: withFallbacks(behavior.scaleUp, defaultScaleUp),
        scaleDown: withFallbacks(behavior.scaleDown, defaultScaleDown),
      },
    }),
  })
}

/** At most four more pods or twice as many, whichever is more, each quarter of a minute. */
export const defaultScaleUp: ScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
}

/** Down at once as far as the highest wish of the last five minutes allows; that window is filled in later. */
export const defaultScaleDown: ScalingRules = {
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
}

const withFallbacks = (rules: ScalingRules | undefined, fallback: ScalingRules): ScalingRules => ({
  ...fallback,
  ...rules,
})

function canonicalMetric(metric: MetricSpec): MetricSpec {
  const { resource } = metric
  const amount = resource?.target?.averageValue
  if (!resource || amount === undefined) return metric
  const averageValue = canonicalQuantity(amount)
  return { ...metric, resource: { ...resource, target: { ...resource.target, averageValue } } }
}

function* problems({ spec }: HorizontalPodAutoscaler): Complaints {
  const { minReplicas = 1, maxReplicas, scaleTargetRef, metrics = [] } = spec
  if (minReplicas < 1)
    yield wrong('spec.minReplicas', minReplicas, 'must be greater than or equal to 1')
  if (!(maxReplicas >= 1))
    yield wrong('spec.maxReplicas', maxReplicas ?? 0, 'must be greater than 0')
  else if (maxReplicas < minReplicas)
    yield wrong('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`')
  if (!scaleTargetRef?.kind) yield required('spec.scaleTargetRef.kind')
  if (!scaleTargetRef?.name) yield required('spec.scaleTargetRef.name')
  for (const [i, metric] of metrics.entries()) yield* metricProblems(metric, `spec.metrics[${i}]`)
  yield* rulesProblems(spec.behavior?.scaleUp, 'spec.behavior.scaleUp')
  yield* rulesProblems(spec.behavior?.scaleDown, 'spec.behavior.scaleDown')
}

const sources: Readonly<Record<string, keyof MetricSpec>> = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
}

function* metricProblems(metric: MetricSpec, at: string): Complaints {
  const { type } = metric
  if (!type) return yield required(`${at}.type`, 'must specify a metric source type')
  const source = sources[type]
  if (source === undefined) return yield notSupported(`${at}.type`, type, Object.keys(sources))
  if (metric[source] === undefined)
    return yield required(
      `${at}.${source}`,
      'must populate information for the given metric source',
    )
  const resource = metric.resource ?? metric.containerResource
  if (!resource) return
  const here = `${at}.${source}`
  if (!resource.name) yield required(`${here}.name`, 'must specify a resource name')
  const { averageUtilization, averageValue } = resource.target ?? {}
  if (averageUtilization === undefined && averageValue === undefined)
    yield required(
      `${here}.target.averageUtilization`,
      'must set either a target raw value or a target utilization',
    )
  if (averageUtilization !== undefined && averageUtilization < 1)
    yield wrong(`${here}.target.averageUtilization`, averageUtilization, 'must be greater than 0')
  if (averageValue !== undefined && compareQuantities(averageValue, '0') <= 0)
    yield wrong(`${here}.target.averageValue`, averageValue, 'must be positive')
}

function* rulesProblems(rules: ScalingRules | undefined, at: string): Complaints {
  if (!rules) return
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [] } = rules
  yield* notNegative(`${at}.stabilizationWindowSeconds`, window)
  if (window !== undefined && window > 3600)
    yield wrong(`${at}.stabilizationWindowSeconds`, window, 'must be less than or equal to 3600')
  if (selectPolicy && !['Max', 'Min', 'Disabled'].includes(selectPolicy))
    yield notSupported(`${at}.selectPolicy`, selectPolicy, ['Disabled', 'Max', 'Min'])
  if (policies.length === 0) yield required(`${at}.policies`, 'must specify at least one Policy')
  for (const [i, { type, value, periodSeconds }] of policies.entries()) {
    const here = `${at}.policies[${i}]`
    if (type !== 'Pods' && type !== 'Percent')
      yield notSupported(`${here}.type`, type, ['Percent', 'Pods'])
    if (!(value > 0)) yield wrong(`${here}.value`, value ?? 0, 'must be greater than zero')
    if (!(periodSeconds > 0))
      yield wrong(`${here}.periodSeconds`, periodSeconds ?? 0, 'must be greater than zero')
    else if (periodSeconds > 1800)
      yield wrong(`${here}.periodSeconds`, periodSeconds, 'must be less than or equal to 1800')
  }
}

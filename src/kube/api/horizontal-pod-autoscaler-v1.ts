/**
 * HorizontalPodAutoscaler as autoscaling/v1 has it: one target of processor use. What it can't say travels in
 * annotations, as upstream's conversion does, so that a v1 client that writes back loses nothing.
 */
import type { ServedVersion } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { builtin } from './schema.ts'
import { isObject, type Fields } from './schema-node.ts'

const metricsAnnotation = 'autoscaling.alpha.kubernetes.io/metrics'
const behaviorAnnotation = 'autoscaling.alpha.kubernetes.io/behavior'
const currentAnnotation = 'autoscaling.alpha.kubernetes.io/current-metrics'
const conditionsAnnotation = 'autoscaling.alpha.kubernetes.io/conditions'
const ours = new Set([
  metricsAnnotation,
  behaviorAnnotation,
  currentAnnotation,
  conditionsAnnotation,
])

export const oldAutoscaler: ServedVersion = {
  version: 'v1',
  schema: builtin('io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler'),
  toStorage,
  fromStorage,
}

const fields = (value: unknown): Fields => (isObject(value) ? value : {})
const items = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const present = (value: Fields): Fields =>
  Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined))

const cpuMetric = (averageUtilization: unknown): Fields => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
})

/** The percentage, when the metric is processor use in percent of the request. */
function cpuPercent(metric: unknown, part: 'target' | 'current'): unknown {
  const resource = fields(fields(metric)['resource'])
  return resource['name'] === 'cpu' ? fields(resource[part])['averageUtilization'] : undefined
}

function annotated(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined // what cannot be read says nothing
  }
}

function withAnnotations(object: KubeObject, more: Readonly<Record<string, string>>): KubeObject {
  const { annotations: all = {}, ...metadata } = object.metadata
  const kept = Object.entries(all).filter(([key]) => !ours.has(key))
  const annotations = { ...Object.fromEntries(kept), ...more }
  return {
    ...object,
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 && { annotations }) },
  }
}

function toStorage(object: KubeObject): KubeObject {
  const spec = fields('spec' in object ? object.spec : undefined)
  const status = fields('status' in object ? object.status : undefined)
  const annotations = object.metadata.annotations ?? {}
  const { targetCPUUtilizationPercentage: percent, ...restOfSpec } = spec
  const { currentCPUUtilizationPercentage: _current, ...restOfStatus } = status
  const more = items(annotated(annotations[metricsAnnotation]))
  const metrics = [
    ...more,
    ...(percent === undefined || percent === null ? [] : [cpuMetric(percent)]),
  ]
  const behavior = annotated(annotations[behaviorAnnotation])
  const converted = {
    ...withAnnotations(object, {}),
    apiVersion: 'autoscaling/v2',
    spec: present({
      ...restOfSpec,
      metrics: metrics.length > 0 ? metrics : undefined,
      behavior: isObject(behavior) ? behavior : undefined,
    }),
    ...('status' in object && {
      status: present({
        ...restOfStatus,
        currentMetrics: annotated(annotations[currentAnnotation]) ?? undefined,
        conditions: annotated(annotations[conditionsAnnotation]) ?? undefined,
      }),
    }),
  }
  return converted
}

function fromStorage(object: KubeObject): KubeObject {
  const spec = fields('spec' in object ? object.spec : undefined)
  const status = fields('status' in object ? object.status : undefined)
  const { metrics, behavior, ...restOfSpec } = spec
  const { currentMetrics, conditions, ...restOfStatus } = status
  const cpu = items(metrics).find((each) => cpuPercent(each, 'target') !== undefined)
  const others = items(metrics).filter((each) => each !== cpu)
  const current = items(currentMetrics)
    .map((each) => cpuPercent(each, 'current'))
    .find((each) => each !== undefined)
  const more: Record<string, string> = {}
  if (others.length > 0) more[metricsAnnotation] = JSON.stringify(others)
  if (behavior !== undefined) more[behaviorAnnotation] = JSON.stringify(behavior)
  if (items(currentMetrics).length > 0) more[currentAnnotation] = JSON.stringify(currentMetrics)
  if (items(conditions).length > 0) more[conditionsAnnotation] = JSON.stringify(conditions)
  return {
    ...withAnnotations(object, more),
    apiVersion: 'autoscaling/v1',
    spec: present({
      ...restOfSpec,
      targetCPUUtilizationPercentage: cpuPercent(cpu, 'target'),
    }),
    ...('status' in object && {
      status: present({ ...restOfStatus, currentCPUUtilizationPercentage: current }),
    }),
  } as KubeObject
}

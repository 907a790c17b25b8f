/** How a PodAutoscaler scales: its annotations over config-autoscaler, in the autoscaler's own terms. */
import {
  activationScale,
  initialScale,
  metric,
  metricAggregationAlgorithm,
  panicThresholdPercentage,
  panicWindowPercentage,
  scaleDownDelayMs,
  target,
  targetBurstCapacity,
  targetUtilizationPercentage,
  windowMs,
  type Annotations,
} from '../api/autoscaling-annotations.ts'
import type { AutoscalerConfig } from '../api/config/autoscaler.ts'
import type { PodAutoscaler } from '../api/pod-autoscaler.ts'
import type { DeciderSpec } from './decide.ts'

const minimalTarget = 0.01
/** Utilisation in percent that requests a second are aimed at; config-autoscaler's is for concurrency. */
const rpsUtilizationPercentage = 70
const hourMs = 3_600_000

export function deciderSpec(
  { metadata: { annotations }, spec }: Pick<PodAutoscaler, 'metadata' | 'spec'>,
  config: AutoscalerConfig,
): DeciderSpec {
  const measured = metric(annotations, config) === 'rps' ? 'rps' : 'concurrency'
  const totalValue = total(measured, annotations, spec.containerConcurrency ?? 0, config)
  const percentage = targetUtilizationPercentage(
    annotations,
    measured === 'rps'
      ? { ...config, containerConcurrencyTargetPercentage: rpsUtilizationPercentage }
      : config,
  )
  const stableWindowMs = stableWindow(annotations, config)
  const panicShare = within(panicWindowPercentage(annotations, config), 1, 100) / 100
  return {
    metric: measured,
    aggregation: metricAggregationAlgorithm(annotations),
    stableWindowMs,
    panicWindowMs: Math.max(1, Math.round((stableWindowMs * panicShare) / 1000)) * 1000,
    targetValue: Math.max(minimalTarget, (totalValue * percentage) / 100),
    totalValue,
    targetBurstCapacity: targetBurstCapacity(annotations, config),
    panicThreshold: panicThresholdPercentage(annotations, config) / 100,
    maxScaleUpRate: config.maxScaleUpRate,
    maxScaleDownRate: config.maxScaleDownRate,
    scaleDownDelayMs: within(scaleDownDelayMs(annotations, config), 0, hourMs),
    activationScale: activationScale(annotations),
    initialScale: initialPods(annotations, config),
    reachable: spec.reachability !== 'Unreachable',
  }
}

/** What a pod can carry. */
function total(
  measured: DeciderSpec['metric'],
  annotations: Annotations,
  containerConcurrency: number,
  config: AutoscalerConfig,
): number {
  const wanted = target(annotations)
  if (measured === 'rps') return wanted ?? config.requestsPerSecondTargetDefault
  if (containerConcurrency <= 0) return wanted ?? config.containerConcurrencyTargetDefault
  return Math.min(containerConcurrency, wanted ?? Infinity)
}

/** Objects from elsewhere may say what validation would refuse; a window's length is memory, so it is held to its bounds. */
const stableWindow = (annotations: Annotations, config: AutoscalerConfig): number =>
  within(windowMs(annotations, config), 6_000, hourMs)

function initialPods(annotations: Annotations, config: AutoscalerConfig): number {
  const pods = initialScale(annotations, config)
  return pods > 0 || config.allowZeroInitialScale ? Math.max(0, pods) : config.initialScale
}

/** `value` between two bounds; what is not a number is the lower one. */
const within = (value: number, low: number, high: number): number =>
  value >= low ? Math.min(value, high) : low

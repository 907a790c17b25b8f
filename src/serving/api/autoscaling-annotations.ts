/**
 * Annotations that set how a Revision scales: their spellings, what they may say, and what they mean together with
 * config-autoscaler. A value that cannot be read counts as not said; validation refuses it
 * before, so that only happens to objects from elsewhere.
 */
import { parseFloat64, parseInteger } from '../../knative/config-values.ts'
import { formatDuration, parseDuration } from '../../knative/duration.ts'
import {
  genericError,
  invalidValue,
  outOfBounds,
  type FieldError,
} from '../../knative/field-error.ts'
import type { AutoscalerConfig } from './config/autoscaler.ts'
import { validateFreezing } from './freezing.ts'
import { firstSpelling, hpaClass, kpaClass } from './names.ts'

export type Annotations = Readonly<Record<string, string>> | undefined

const prefix = 'autoscaling.knative.dev/'
const spelled = (...names: readonly string[]): readonly string[] =>
  names.map((name) => `${prefix}${name}`)

/** All spellings, the one that wins first. */
export const autoscalingSpellings = {
  class: spelled('class'),
  metric: spelled('metric'),
  target: spelled('target'),
  targetUtilizationPercentage: spelled(
    'target-utilization-percentage',
    'targetUtilizationPercentage',
  ),
  targetBurstCapacity: spelled('target-burst-capacity', 'targetBurstCapacity'),
  minScale: spelled('min-scale', 'minScale'),
  maxScale: spelled('max-scale', 'maxScale'),
  initialScale: spelled('initial-scale', 'initialScale'),
  activationScale: spelled('activation-scale'),
  scaleDownDelay: spelled('scale-down-delay', 'scaleDownDelay'),
  scaleToZeroPodRetentionPeriod: spelled(
    'scale-to-zero-pod-retention-period',
    'scaleToZeroPodRetentionPeriod',
  ),
  window: spelled('window'),
  panicWindowPercentage: spelled('panic-window-percentage', 'panicWindowPercentage'),
  panicThresholdPercentage: spelled('panic-threshold-percentage', 'panicThresholdPercentage'),
  metricAggregationAlgorithm: spelled('metric-aggregation-algorithm', 'metricAggregationAlgorithm'),
} as const

type Setting = keyof typeof autoscalingSpellings

const maxInt32 = 2_147_483_647
const hourMs = 3_600_000
const minimalTarget = 0.01

const find = (annotations: Annotations, setting: Setting) =>
  firstSpelling(annotations, autoscalingSpellings[setting])

const text = (annotations: Annotations, setting: Setting): string | undefined =>
  find(annotations, setting)?.value

function float(annotations: Annotations, setting: Setting): number | undefined {
  const value = text(annotations, setting)
  return value === undefined ? undefined : parseFloat64(value)
}

function whole(annotations: Annotations, setting: Setting): number | undefined {
  const value = text(annotations, setting)
  const parsed = value === undefined ? undefined : parseInteger(value, 32)
  return typeof parsed === 'number' ? parsed : undefined
}

function durationMs(annotations: Annotations, setting: Setting): number | undefined {
  const value = text(annotations, setting)
  return value === undefined ? undefined : parseDuration(value)
}

/** Class of the autoscaler: `kpa.autoscaling.knative.dev`, `hpa.autoscaling.knative.dev` or somebody else's. */
export const autoscalerClass = (annotations: Annotations, config: AutoscalerConfig): string =>
  text(annotations, 'class') ?? config.podAutoscalerClass

/** What is measured: `concurrency` or `rps` for the KPA, `cpu`, `memory` or a custom metric for the HPA. */
export const metric = (annotations: Annotations, config: AutoscalerConfig): string =>
  text(annotations, 'metric') ?? defaultMetric(autoscalerClass(annotations, config))

export const defaultMetric = (className: string): string =>
  className === kpaClass ? 'concurrency' : className === hpaClass ? 'cpu' : ''

/** Value of the metric that a pod should have; undefined when the Revision does not say. */
export const target = (annotations: Annotations): number | undefined => float(annotations, 'target')

/** Part of the target that is really aimed at, in percent. */
export const targetUtilizationPercentage = (
  annotations: Annotations,
  config: AutoscalerConfig,
): number =>
  float(annotations, 'targetUtilizationPercentage') ?? config.containerConcurrencyTargetPercentage

export const targetBurstCapacity = (annotations: Annotations, config: AutoscalerConfig): number =>
  float(annotations, 'targetBurstCapacity') ?? config.targetBurstCapacity

export const minScale = (annotations: Annotations, config: AutoscalerConfig): number =>
  whole(annotations, 'minScale') ?? config.minScale

/** 0 = no limit. */
export const maxScale = (annotations: Annotations, config: AutoscalerConfig): number =>
  whole(annotations, 'maxScale') ?? config.maxScale

export const initialScale = (annotations: Annotations, config: AutoscalerConfig): number =>
  whole(annotations, 'initialScale') ?? config.initialScale

/** Least pods while there is traffic; 0 = not said. */
export const activationScale = (annotations: Annotations): number =>
  whole(annotations, 'activationScale') ?? 0

export const scaleDownDelayMs = (annotations: Annotations, config: AutoscalerConfig): number =>
  durationMs(annotations, 'scaleDownDelay') ?? config.scaleDownDelayMs

export const scaleToZeroPodRetentionPeriodMs = (
  annotations: Annotations,
  config: AutoscalerConfig,
): number =>
  durationMs(annotations, 'scaleToZeroPodRetentionPeriod') ?? config.scaleToZeroPodRetentionPeriodMs

/** The stable window. */
export const windowMs = (annotations: Annotations, config: AutoscalerConfig): number =>
  durationMs(annotations, 'window') ?? config.stableWindowMs

export const panicWindowPercentage = (annotations: Annotations, config: AutoscalerConfig): number =>
  float(annotations, 'panicWindowPercentage') ?? config.panicWindowPercentage

export const panicThresholdPercentage = (
  annotations: Annotations,
  config: AutoscalerConfig,
): number => float(annotations, 'panicThresholdPercentage') ?? config.panicThresholdPercentage

export const metricAggregationAlgorithm = (
  annotations: Annotations,
): 'linear' | 'weightedExponential' => {
  const value = text(annotations, 'metricAggregationAlgorithm')
  return value === 'weighted-exponential' || value === 'weightedExponential'
    ? 'weightedExponential'
    : 'linear'
}

/** All complaints about the autoscaling annotations; their paths are the keys as written. */
export function* validateAutoscaling(
  annotations: Annotations,
  config: AutoscalerConfig,
): Generator<FieldError> {
  if (!annotations) return
  yield* validateClass(annotations)
  yield* validateScales(annotations, config)
  yield* validateInitialScale(annotations, config)
  yield* validateFloats(annotations)
  yield* validateDurations(annotations)
  yield* validateMetric(annotations, config)
  yield* validateAlgorithm(annotations)
  yield* validateFreezing(annotations)
}

function* validateClass(annotations: Annotations): Generator<FieldError> {
  const found = find(annotations, 'class')
  if (!found?.value.endsWith('.knative.dev')) return
  if (found.value !== kpaClass && found.value !== hpaClass)
    yield invalidValue(found.value, found.key)
}

function* validateScale(
  found: { key: string; value: string } | undefined,
): Generator<FieldError, number | undefined> {
  if (!found) return undefined
  const value = parseInteger(found.value, 32)
  if (typeof value !== 'number') {
    yield invalidValue(found.value, found.key)
    return undefined
  }
  if (value >= 0) return value
  yield outOfBounds(value, 0, maxInt32, found.key)
  return undefined
}

function* validateScales(
  annotations: Annotations,
  { maxScaleLimit }: AutoscalerConfig,
): Generator<FieldError> {
  const foundMin = find(annotations, 'minScale')
  const foundMax = find(annotations, 'maxScale')
  const min = (yield* validateScale(foundMin)) ?? 0
  const max = yield* validateScale(foundMax)
  const minKey = foundMin?.key ?? `${prefix}min-scale`
  const maxKey = foundMax?.key ?? `${prefix}max-scale`
  if (max !== undefined && max !== 0 && max < min)
    yield genericError(`max-scale=${max} is less than min-scale=${min}`, maxKey, minKey)
  if (max !== undefined && maxScaleLimit > 0 && (max < 1 || max > maxScaleLimit))
    yield outOfBounds(max, 1, maxScaleLimit, maxKey)

  const foundActivation = find(annotations, 'activationScale')
  if (!foundActivation) return
  const { key, value } = foundActivation
  const activation = parseInteger(value, 32)
  if (typeof activation !== 'number') {
    yield invalidValue(value, key)
    return
  }
  if (activation < 2)
    yield genericError(`activation-scale=${activation} must be greater than 1`, key)
  if (min > activation)
    yield genericError(
      `min-scale=${min} is greater than activation-scale=${activation}`,
      minKey,
      key,
    )
  if (max !== undefined && max !== 0 && max < activation)
    yield genericError(`max-scale=${max} is less than activation-scale=${activation}`, maxKey, key)
}

function* validateInitialScale(
  annotations: Annotations,
  { allowZeroInitialScale }: AutoscalerConfig,
): Generator<FieldError> {
  const found = find(annotations, 'initialScale')
  if (!found) return
  const { key, value } = found
  const initial = parseInteger(value, 32)
  if (typeof initial !== 'number') yield invalidValue(value, key)
  else if (initial < 0) yield invalidValue(value, `${key} must be greater than 0`)
  else if (initial === 0 && !allowZeroInitialScale)
    yield invalidValue(value, `${key}=0 not allowed by cluster`)
}

function* validateFloats(annotations: Annotations): Generator<FieldError> {
  for (const setting of [
    'target',
    'targetUtilizationPercentage',
    'targetBurstCapacity',
    'panicWindowPercentage',
    'panicThresholdPercentage',
  ] as const) {
    const found = find(annotations, setting)
    if (!found) continue
    const { key, value } = found
    const number = parseFloat64(value)
    if (number === undefined) yield invalidValue(value, key)
    else if (setting === 'target') {
      if (number < minimalTarget)
        yield genericError(`target ${value} should be at least ${minimalTarget}`, key)
    } else if (setting === 'targetBurstCapacity') {
      if (number < 0 && number !== -1) yield invalidValue(value, key)
    } else {
      const [low, high] = setting === 'panicThresholdPercentage' ? [110, 1000] : [1, 100]
      if (number < low || number > high) yield outOfBounds(value, low, high, key)
    }
  }
}

function* validateDurations(annotations: Annotations): Generator<FieldError> {
  for (const [setting, lowMs, needsWholeSeconds] of [
    ['window', 6_000, true],
    ['scaleDownDelay', 0, true],
    ['scaleToZeroPodRetentionPeriod', 0, false],
  ] as const) {
    const found = find(annotations, setting)
    if (!found) continue
    const { key, value } = found
    const ms = parseDuration(value)
    if (ms === undefined) yield invalidValue(value, key)
    else if (ms < lowMs || ms > hourMs)
      yield outOfBounds(value, formatDuration(lowMs), formatDuration(hourMs), key)
    else if (needsWholeSeconds && ms % 1000 !== 0)
      yield genericError('must be specified with at most second precision', key)
  }
}

function* validateMetric(
  annotations: Annotations,
  config: AutoscalerConfig,
): Generator<FieldError> {
  const found = find(annotations, 'metric')
  if (!found) return
  const className = autoscalerClass(annotations, config)
  const valid =
    className === kpaClass
      ? found.value === 'concurrency' || found.value === 'rps'
      : className !== hpaClass || found.value !== ''
  if (!valid) yield invalidValue(found.value, found.key)
}

function* validateAlgorithm(annotations: Annotations): Generator<FieldError> {
  const found = find(annotations, 'metricAggregationAlgorithm')
  if (!found || text(annotations, 'class') !== kpaClass) return
  if (!['linear', 'weighted-exponential', 'weightedExponential'].includes(found.value))
    yield invalidValue(found.value, found.key)
}

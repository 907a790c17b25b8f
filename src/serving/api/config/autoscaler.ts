/**
 * config-autoscaler: how the autoscaler measures and decides. Fields have the names of the
 * keys; `…Ms` are milliseconds. Annotations on a Revision override many of them (autoscaling-annotations.ts).
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asDurationMs,
  asFloat,
  asInteger,
  asString,
  goFloat,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { formatDuration } from '../../../knative/duration.ts'
import { hpaClass, kpaClass } from '../names.ts'

export interface AutoscalerConfig {
  /** Part of the concurrency target that is really aimed at, in percent, in (0, 100]. */
  readonly containerConcurrencyTargetPercentage: number
  /** Concurrency a pod should have where the Revision sets no limit. */
  readonly containerConcurrencyTargetDefault: number
  readonly requestsPerSecondTargetDefault: number
  /** Requests to be able to take at once before the activator steps aside; -1 = it always stays in the path. */
  readonly targetBurstCapacity: number
  readonly stableWindowMs: number
  /** Panic window as a percentage of the stable window. */
  readonly panicWindowPercentage: number
  /** Desired pods as a percentage of the ready ones at which panic begins. */
  readonly panicThresholdPercentage: number
  /** At most this many times more pods in one decision. */
  readonly maxScaleUpRate: number
  /** At most this many times fewer pods in one decision. */
  readonly maxScaleDownRate: number
  readonly enableScaleToZero: boolean
  /** How long the last pod may stay while the activator takes over. */
  readonly scaleToZeroGracePeriodMs: number
  /** How long the last pod stays at least after the last request. */
  readonly scaleToZeroPodRetentionPeriodMs: number
  readonly scaleDownDelayMs: number
  readonly podAutoscalerClass: string
  /** Concurrent requests one activator is reckoned with. */
  readonly activatorCapacity: number
  readonly initialScale: number
  readonly allowZeroInitialScale: boolean
  readonly minScale: number
  /** 0 = no limit. */
  readonly maxScale: number
  /** The largest max-scale that may be asked for; 0 = any. */
  readonly maxScaleLimit: number
  /** How long the last pod of a Revision at zero stays frozen; 0 = it ends (freezing.ts). */
  readonly freezeForMs: number
  /** Memory that frozen pods may have together, in percent of the machine's. */
  readonly freezeMemoryPercentage: number
}

const minimalTarget = 0.01

function parse(data: ConfigData): AutoscalerConfig {
  const config = reading(() => read(data))
  check(config)
  return config
}

/** Upstream puts these words before what could not be read, in this ConfigMap. */
function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Error(`failed to parse data: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

function read(data: ConfigData): AutoscalerConfig {
  const percentage = asFloat(data, 70, 'container-concurrency-target-percentage')
  const int32 = (key: string, fallback: number) => asInteger(data, fallback, key, { bits: 32 })
  return {
    // Up to 1 it is a fraction, for reasons of history.
    containerConcurrencyTargetPercentage: percentage > 1 ? percentage : percentage * 100,
    containerConcurrencyTargetDefault: asFloat(data, 100, 'container-concurrency-target-default'),
    requestsPerSecondTargetDefault: asFloat(data, 200, 'requests-per-second-target-default'),
    targetBurstCapacity: asFloat(data, 211, 'target-burst-capacity'),
    stableWindowMs: asDurationMs(data, 60_000, 'stable-window'),
    panicWindowPercentage: asFloat(data, 10, 'panic-window-percentage'),
    panicThresholdPercentage: asFloat(data, 200, 'panic-threshold-percentage'),
    maxScaleUpRate: asFloat(data, 1000, 'max-scale-up-rate'),
    maxScaleDownRate: asFloat(data, 2, 'max-scale-down-rate'),
    enableScaleToZero: asBoolean(data, true, 'enable-scale-to-zero'),
    scaleToZeroGracePeriodMs: asDurationMs(data, 30_000, 'scale-to-zero-grace-period'),
    scaleToZeroPodRetentionPeriodMs: asDurationMs(data, 0, 'scale-to-zero-pod-retention-period'),
    scaleDownDelayMs: asDurationMs(data, 0, 'scale-down-delay'),
    podAutoscalerClass: asString(data, kpaClass, 'pod-autoscaler-class'),
    activatorCapacity: asFloat(data, 100, 'activator-capacity'),
    initialScale: int32('initial-scale', 1),
    allowZeroInitialScale: asBoolean(data, false, 'allow-zero-initial-scale'),
    minScale: int32('min-scale', 0),
    maxScale: int32('max-scale', 0),
    maxScaleLimit: int32('max-scale-limit', 0),
    freezeForMs: asDurationMs(data, 0, 'freeze-for'),
    freezeMemoryPercentage: asFloat(data, 25, 'freeze-memory-percentage'),
  }
}

function check(c: AutoscalerConfig): void {
  const must = (holds: boolean, text: string) => {
    if (!holds) throw new Error(text)
  }
  const wholeSeconds = (key: string, ms: number) =>
    must(
      ms % 1000 === 0,
      `${key} = ${formatDuration(ms)}, must be specified with at most second precision`,
    )

  must(
    c.podAutoscalerClass === kpaClass || c.podAutoscalerClass === hpaClass,
    `pod-autoscaler-class = ${JSON.stringify(c.podAutoscalerClass)}, must be ${kpaClass} or ${hpaClass}`,
  )
  must(
    c.scaleToZeroGracePeriodMs > 0,
    `scale-to-zero-grace-period must be positive, was: ${formatDuration(c.scaleToZeroGracePeriodMs)}`,
  )
  must(
    c.scaleDownDelayMs >= 0,
    `scale-down-delay cannot be negative, was: ${formatDuration(c.scaleDownDelayMs)}`,
  )
  wholeSeconds('scale-down-delay', c.scaleDownDelayMs)
  must(
    c.scaleToZeroPodRetentionPeriodMs >= 0,
    `scale-to-zero-pod-retention-period cannot be negative, was: ${formatDuration(c.scaleToZeroPodRetentionPeriodMs)}`,
  )
  must(
    c.targetBurstCapacity >= 0 || c.targetBurstCapacity === -1,
    `target-burst-capacity must be either non-negative or -1 (for unlimited), was: ${c.targetBurstCapacity.toFixed(6)}`,
  )
  const fraction = c.containerConcurrencyTargetPercentage / 100
  must(
    fraction > 0 && fraction <= 1,
    `container-concurrency-target-percentage = ${fraction.toFixed(6)} is outside of valid range of (0, 100]`,
  )
  const target = fraction * c.containerConcurrencyTargetDefault
  must(
    target >= minimalTarget,
    `container-concurrency-target-percentage and container-concurrency-target-default yield target concurrency of ${goFloat(target)}, can't be less than ${minimalTarget}`,
  )
  must(
    c.requestsPerSecondTargetDefault >= minimalTarget,
    `requests-per-second-target-default must be at least ${minimalTarget}, was: ${goFloat(c.requestsPerSecondTargetDefault)}`,
  )
  must(
    c.activatorCapacity >= 1,
    `activator-capacity = ${goFloat(c.activatorCapacity)}, must be at least 1`,
  )
  must(
    c.maxScaleUpRate > 1,
    `max-scale-up-rate = ${goFloat(c.maxScaleUpRate)}, must be greater than 1.0`,
  )
  must(
    c.maxScaleDownRate > 1,
    `max-scale-down-rate = ${goFloat(c.maxScaleDownRate)}, must be greater than 1.0`,
  )
  must(
    c.stableWindowMs >= 6_000 && c.stableWindowMs <= 3_600_000,
    `stable-window = ${formatDuration(c.stableWindowMs)}, must be in [6s; 1h0m0s] range`,
  )
  wholeSeconds('stable-window', c.stableWindowMs)
  must(
    c.panicWindowPercentage >= 1 && c.panicWindowPercentage <= 100,
    `panic-window-percentage = ${goFloat(c.panicWindowPercentage)}, must be in [1, 100] interval`,
  )
  must(
    c.initialScale > 0 || (c.initialScale === 0 && c.allowZeroInitialScale),
    `initial-scale = ${c.initialScale}, must be at least 0 (or at least 1 when allow-zero-initial-scale is false)`,
  )
  const lowest = c.maxScaleLimit > 0 ? 1 : 0
  must(
    c.maxScale >= lowest && (c.maxScaleLimit <= 0 || c.maxScale <= c.maxScaleLimit),
    `max-scale = ${c.maxScale}, must be in [${lowest}, max-scale-limit(${c.maxScaleLimit})] range`,
  )
  must(c.maxScaleLimit >= 0, `max-scale-limit = ${c.maxScaleLimit}, must be at least 0`)
  must(
    c.minScale >= 0 && (c.maxScale <= 0 || c.minScale <= c.maxScale),
    c.maxScale > 0
      ? `min-scale = ${c.minScale}, must be in [0, max-scale(${c.maxScale})] range`
      : `min-scale = ${c.minScale}, must be at least 0`,
  )
  checkFreezing(c, must)
}

function checkFreezing(c: AutoscalerConfig, must: (holds: boolean, text: string) => void): void {
  must(
    c.freezeForMs >= 0 && c.freezeForMs <= 86_400_000,
    `freeze-for = ${formatDuration(c.freezeForMs)}, must be in [0s; 24h0m0s] range`,
  )
  must(
    c.freezeMemoryPercentage >= 0 && c.freezeMemoryPercentage <= 100,
    `freeze-memory-percentage = ${goFloat(c.freezeMemoryPercentage)}, must be in [0, 100] range`,
  )
}

export const configAutoscaler: Config<AutoscalerConfig> = defineConfig({
  name: 'config-autoscaler',
  component: 'autoscaler',
  parse,
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# Percentage of the concurrency target that the autoscaler really aims at, so
# that pods have room while more are started. In (0, 100].
container-concurrency-target-percentage: "70"

# Concurrent requests a pod should have, for Revisions without a limit
# (containerConcurrency 0) and without a target of their own.
container-concurrency-target-default: "100"

# Requests per second a pod should have, for the metric "rps".
requests-per-second-target-default: "200"

# Size of a burst, in concurrent requests, that must fit without queueing
# before requests go directly to the pods. 0: directly, except at zero pods;
# -1: never directly.
target-burst-capacity: "211"

# Window over which the usual decision averages. 6s to 1h, whole seconds.
stable-window: "60s"

# Length of the panic window as a percentage of stable-window. 1 to 100.
panic-window-percentage: "10.0"

# Panic begins when this percentage of the ready pods is wanted.
panic-threshold-percentage: "200.0"

# How many times more pods one decision may ask for. Greater than 1.
max-scale-up-rate: "1000.0"

# How many times fewer pods one decision may ask for. Greater than 1.
max-scale-down-rate: "2.0"

# Whether Revisions without requests lose their last pod.
enable-scale-to-zero: "true"

# How long the last pod may stay at most while traffic is taken from it.
scale-to-zero-grace-period: "30s"

# How long the last pod stays at least after its last request.
scale-to-zero-pod-retention-period: "0s"

# How long less must be wanted before pods go. Whole seconds.
scale-down-delay: "0s"

# Autoscaler of Revisions that name none.
pod-autoscaler-class: "kpa.autoscaling.knative.dev"

# Concurrent requests an activator is reckoned with.
activator-capacity: "100.0"

# Pods that a new Revision starts with.
initial-scale: "1"

# Whether initial-scale may be 0.
allow-zero-initial-scale: "false"

# Least pods of Revisions that do not say.
min-scale: "0"

# Most pods of Revisions that do not say; 0 is no limit.
max-scale: "0"

# Largest max-scale a Revision may ask for; 0 is any.
max-scale-limit: "0"

# How long the last pod of a Revision that went to zero stays frozen, so that
# the next request finds its process as it was. 0s: it ends at once.
# Revisions say it themselves with the annotation ebb.dev/freeze-for.
freeze-for: "0s"

# Memory that frozen pods may have together, in percent of the machine's; the
# pods that have been frozen longest end when it is more.
freeze-memory-percentage: "25"
`,
})

/** config-deployment: how the pods of Revisions are deployed. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asDurationMs,
  asList,
  asQuantity,
  asString,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { formatDuration } from '../../../knative/duration.ts'
import { asMap, parseSmallYaml, scalarText } from '../../../knative/small-yaml.ts'

export interface DeploymentConfig {
  readonly queueSidecarImage: string
  readonly progressDeadlineMs: number
  readonly digestResolutionTimeoutMs: number
  /** Registries whose images are run by tag, not by digest. */
  readonly registriesSkippingTagResolving: readonly string[]
  readonly queueSidecarCpuRequest: string | undefined
  readonly queueSidecarCpuLimit: string | undefined
  readonly queueSidecarMemoryRequest: string | undefined
  readonly queueSidecarMemoryLimit: string | undefined
  readonly queueSidecarEphemeralStorageRequest: string | undefined
  readonly queueSidecarEphemeralStorageLimit: string | undefined
  readonly queueSidecarTokenAudiences: readonly string[]
  readonly queueSidecarRootCA: string
  readonly defaultAffinityType: 'prefer-spread-revision-over-nodes' | 'none'
  /** Runtime classes, each with the labels a Revision must have; the one with most labels wins. */
  readonly runtimeClassNames: readonly {
    readonly name: string
    readonly selector: Readonly<Record<string, string>>
  }[]
  readonly podIsAlwaysSchedulable: boolean
}

/** The runtime class of a Revision with these labels, if any is configured. */
export function runtimeClassFor(
  config: DeploymentConfig,
  labels: Readonly<Record<string, string>> = {},
): string | undefined {
  const matching = config.runtimeClassNames.filter(({ selector }) =>
    Object.entries(selector).every(([key, value]) => labels[key] === value),
  )
  const [best] = matching.toSorted(
    (a, b) =>
      Object.keys(b.selector).length - Object.keys(a.selector).length || (a.name < b.name ? -1 : 1),
  )
  return best?.name
}

function runtimeClasses(data: ConfigData): DeploymentConfig['runtimeClassNames'] {
  const text = data['runtime-class-name']
  if (!text) return []
  const classes = asMap(parseSmallYaml(text))
  if (!classes) throw new Error('runtime-class-name: expected a map of class names')
  return Object.entries(classes).map(([name, value]) => ({
    name,
    selector: Object.fromEntries(
      Object.entries(asMap(asMap(value)?.['selector']) ?? {}).map(([key, item]) => [
        key,
        scalarText(item),
      ]),
    ),
  }))
}

function affinity(data: ConfigData): DeploymentConfig['defaultAffinityType'] {
  const text = data['default-affinity-type'] ?? ''
  switch (text) {
    case '':
    case 'prefer-spread-revision-over-nodes':
      return 'prefer-spread-revision-over-nodes'
    case 'none':
      return 'none'
    default:
      throw new Error(`unsupported default-affinity-type value: ${JSON.stringify(text)}`)
  }
}

function parse(data: ConfigData): DeploymentConfig {
  const config: DeploymentConfig = {
    queueSidecarImage: asString(data, '', 'queueSidecarImage', 'queue-sidecar-image'),
    progressDeadlineMs: asDurationMs(data, 600_000, 'progressDeadline', 'progress-deadline'),
    digestResolutionTimeoutMs: asDurationMs(
      data,
      10_000,
      'digestResolutionTimeout',
      'digest-resolution-timeout',
    ),
    registriesSkippingTagResolving: asList(
      data,
      ['kind.local', 'ko.local', 'dev.local'],
      'registriesSkippingTagResolving',
      'registries-skipping-tag-resolving',
    ),
    queueSidecarCpuRequest: asQuantity(
      data,
      '25m',
      'queueSidecarCPURequest',
      'queue-sidecar-cpu-request',
    ),
    queueSidecarCpuLimit: asQuantity(
      data,
      undefined,
      'queueSidecarCPULimit',
      'queue-sidecar-cpu-limit',
    ),
    queueSidecarMemoryRequest: asQuantity(
      data,
      undefined,
      'queueSidecarMemoryRequest',
      'queue-sidecar-memory-request',
    ),
    queueSidecarMemoryLimit: asQuantity(
      data,
      undefined,
      'queueSidecarMemoryLimit',
      'queue-sidecar-memory-limit',
    ),
    queueSidecarEphemeralStorageRequest: asQuantity(
      data,
      undefined,
      'queueSidecarEphemeralStorageRequest',
      'queue-sidecar-ephemeral-storage-request',
    ),
    queueSidecarEphemeralStorageLimit: asQuantity(
      data,
      undefined,
      'queueSidecarEphemeralStorageLimit',
      'queue-sidecar-ephemeral-storage-limit',
    ),
    queueSidecarTokenAudiences: asList(data, [], 'queue-sidecar-token-audiences'),
    queueSidecarRootCA: asString(data, '', 'queue-sidecar-rootca'),
    defaultAffinityType: affinity(data),
    runtimeClassNames: runtimeClasses(data),
    podIsAlwaysSchedulable: asBoolean(data, false, 'pod-is-always-schedulable'),
  }
  const { progressDeadlineMs: deadline, digestResolutionTimeoutMs: timeout } = config
  if (deadline <= 0) {
    throw new Error(
      `progress-deadline cannot be a non-positive duration, was ${formatDuration(deadline)}`,
    )
  }
  if (deadline % 1000 !== 0) {
    throw new Error(
      `progress-deadline must be rounded to a whole second, was: ${formatDuration(deadline)}`,
    )
  }
  if (timeout <= 0) {
    throw new Error(
      `digest-resolution-timeout cannot be a non-positive duration, was ${formatDuration(timeout)}`,
    )
  }
  return config
}

/** Upstream requires queue-sidecar-image; here no sidecar runs, so it may be absent. */
export const configDeployment: Config<DeploymentConfig> = defineConfig({
  name: 'config-deployment',
  component: 'controller',
  parse,
  example: `
# Examples, with the defaults as values. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# How long a Revision may take to become ready. Whole seconds.
progress-deadline: "600s"

# How long finding the digest of an image may take.
digest-resolution-timeout: "10s"

# Registries whose images are run by tag, comma-separated.
registries-skipping-tag-resolving: "kind.local,ko.local,dev.local"

# Resources of the request proxy beside the containers. Where the gateway does
# its work, as on one machine, they are not used.
queue-sidecar-cpu-request: "25m"
queue-sidecar-cpu-limit: "1000m"
queue-sidecar-memory-request: "400Mi"
queue-sidecar-memory-limit: "800Mi"
queue-sidecar-ephemeral-storage-request: "512Mi"
queue-sidecar-ephemeral-storage-limit: "1024Mi"

# How pods are spread: "prefer-spread-revision-over-nodes" or "none".
default-affinity-type: "prefer-spread-revision-over-nodes"

# Runtime class of pods that name none, with the labels it is for.
runtime-class-name: |
  my-class:
    selector:
      my-label: selector

# Whether a pod that finds no place is expected to find one later.
pod-is-always-schedulable: "false"
`,
})

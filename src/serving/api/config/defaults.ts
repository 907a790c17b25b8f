/** config-defaults: what a Revision gets when its author does not say. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asInteger,
  asQuantity,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { compileTemplate, type Template } from '../../../knative/template.ts'
import type { ObjectMeta } from '../../../kube/api/meta.ts'

/** Quantities by resource: `cpu`, `memory`, `ephemeral-storage`. */
export type ResourceDefaults = Readonly<Partial<Record<ResourceName, string>>>
export type ResourceName = 'cpu' | 'memory' | 'ephemeral-storage'

export interface DefaultsConfig {
  readonly revisionTimeoutSeconds: number
  readonly maxRevisionTimeoutSeconds: number
  readonly revisionResponseStartTimeoutSeconds: number
  /** 0 = off. */
  readonly revisionIdleTimeoutSeconds: number
  readonly requests: ResourceDefaults
  readonly limits: ResourceDefaults
  readonly containerNameTemplate: Template
  readonly initContainerNameTemplate: Template
  readonly containerConcurrency: number
  readonly containerConcurrencyMaxLimit: number
  readonly allowContainerConcurrencyZero: boolean
  /** undefined = leave it to Kubernetes. */
  readonly enableServiceLinks: boolean | undefined
  /** Upgraded connections and event streams are free of the timeout of the whole request. */
  readonly longLivedStreams: boolean
}

/** A container name from its template; '' when it cannot be executed on this object. */
export function renderContainerName(template: Template, meta: Partial<ObjectMeta>): string {
  try {
    return execute(template, meta)
  } catch {
    return ''
  }
}

const execute = (template: Template, meta: Partial<ObjectMeta>): string =>
  template.execute({
    Name: meta.name ?? '',
    Namespace: meta.namespace ?? '',
    GenerateName: meta.generateName ?? '',
    UID: meta.uid ?? '',
    Generation: meta.generation ?? 0,
    Labels: new Map(Object.entries(meta.labels ?? {})),
    Annotations: new Map(Object.entries(meta.annotations ?? {})),
  })

function nameTemplate(data: ConfigData, key: string, fallback: string): Template {
  const template = compileTemplate('container-template', data[key] ?? fallback)
  try {
    execute(template, {})
  } catch (error) {
    throw new Error(`error executing template: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  return template
}

function resources(data: ConfigData, what: 'request' | 'limit'): ResourceDefaults {
  const found: Partial<Record<ResourceName, string>> = {}
  for (const name of ['cpu', 'memory', 'ephemeral-storage'] as const) {
    const quantity = asQuantity(data, undefined, `revision-${name}-${what}`)
    if (quantity !== undefined) found[name] = quantity
  }
  return found
}

function serviceLinks(data: ConfigData): boolean | undefined {
  switch ((data['enable-service-links'] ?? 'false').toLowerCase()) {
    case 'true':
      return true
    case 'false':
      return false
    default:
      return undefined
  }
}

function parse(data: ConfigData): DefaultsConfig {
  const timeout = asInteger(data, 300, 'revision-timeout-seconds')
  const config: DefaultsConfig = {
    revisionTimeoutSeconds: timeout,
    maxRevisionTimeoutSeconds: asInteger(data, 600, 'max-revision-timeout-seconds'),
    revisionResponseStartTimeoutSeconds: asInteger(
      data,
      timeout,
      'revision-response-start-timeout-seconds',
    ),
    revisionIdleTimeoutSeconds: asInteger(data, 0, 'revision-idle-timeout-seconds'),
    requests: resources(data, 'request'),
    limits: resources(data, 'limit'),
    containerNameTemplate: nameTemplate(data, 'container-name-template', 'user-container'),
    initContainerNameTemplate: nameTemplate(data, 'init-container-name-template', 'init-container'),
    containerConcurrency: asInteger(data, 0, 'container-concurrency'),
    containerConcurrencyMaxLimit: asInteger(data, 1000, 'container-concurrency-max-limit'),
    allowContainerConcurrencyZero: asBoolean(data, true, 'allow-container-concurrency-zero'),
    enableServiceLinks: serviceLinks(data),
    longLivedStreams: asBoolean(data, false, 'long-lived-streams'),
  }
  notGreater(
    'revision-timeout-seconds',
    timeout,
    'max-revision-timeout-seconds',
    config.maxRevisionTimeoutSeconds,
  )
  notGreater(
    'revision-response-start-timeout-seconds',
    config.revisionResponseStartTimeoutSeconds,
    'revision-timeout-seconds',
    timeout,
  )
  notGreater(
    'revision-idle-timeout-seconds',
    config.revisionIdleTimeoutSeconds,
    'revision-timeout-seconds',
    timeout,
  )
  const { containerConcurrency, containerConcurrencyMaxLimit: most } = config
  if (most < 1)
    throw new Error(`expected 1 <= ${most} <= 2147483647: container-concurrency-max-limit`)
  if (containerConcurrency < 0 || containerConcurrency > most)
    throw new Error(`expected 0 <= ${containerConcurrency} <= ${most}: container-concurrency`)
  return config
}

function notGreater(key: string, value: number, limitKey: string, limit: number): void {
  if (value > limit)
    throw new Error(`${key} (${value}) cannot be greater than ${limitKey} (${limit})`)
}

export const configDefaults: Config<DefaultsConfig> = defineConfig({
  name: 'config-defaults',
  component: 'controller',
  parse,
  example: `
# Examples. Copy a line to the top level of the ConfigMap, directly below
# "data", to make it count.

# Longest time of a request, in seconds, for Revisions that do not say.
revision-timeout-seconds: "300"

# The most a Revision may ask for.
max-revision-timeout-seconds: "600"

# Longest time until the first byte of an answer, in seconds. By default the
# same as revision-timeout-seconds.
revision-response-start-timeout-seconds: "300"

# Longest time without a byte of an answer, in seconds; 0 is off.
revision-idle-timeout-seconds: "0"

# Resources of containers that do not say. Unset by default.
revision-cpu-request: "400m"
revision-memory-request: "100M"
revision-ephemeral-storage-request: "500M"
revision-cpu-limit: "1000m"
revision-memory-limit: "200M"
revision-ephemeral-storage-limit: "750M"

# Go templates, over the metadata, of the names of containers without one.
container-name-template: "user-container"
init-container-name-template: "init-container"

# Requests a container takes at a time, for Revisions that do not say; 0 is no
# limit.
container-concurrency: "0"

# The most a Revision may ask for.
container-concurrency-max-limit: "1000"

# Whether a Revision may ask for 0.
allow-container-concurrency-zero: "true"

# Whether pods get environment variables for all Services: "true", "false" or
# "default" (whatever Kubernetes does).
enable-service-links: "false"

# Whether upgraded connections (WebSocket) and event streams may last longer
# than the timeout of a Revision that does not say by the annotation
# ebb.dev/long-lived-streams. The idle timeout counts all the same.
long-lived-streams: "false"
`,
})

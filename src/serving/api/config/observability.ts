/** config-observability: request logs, metrics and traces. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import {
  asBoolean,
  asDurationMs,
  asFloat,
  asString,
  goFloat,
  type ConfigData,
} from '../../../knative/config-values.ts'
import { compileTemplate, type Template } from '../../../knative/template.ts'

export type { Template, TemplateStruct } from '../../../knative/template.ts'

export type MetricsProtocol = 'none' | 'prometheus' | 'grpc' | 'http/protobuf'
export type TracingProtocol = 'none' | 'stdout' | 'grpc' | 'http/protobuf'

export interface Exporter<P extends string> {
  readonly protocol: P
  readonly endpoint: string
  /** 0 = the exporter's own. */
  readonly exportIntervalMs: number
}

export interface ObservabilityConfig {
  readonly enableVarLogCollection: boolean
  /** `${REVISION_UID}` is replaced; '' = Revisions have no logUrl. */
  readonly revisionUrlTemplate: string
  readonly enableRequestLog: boolean
  readonly enableProbeRequestLog: boolean
  /** Undefined when the template is empty. Executed with .Request, .Response, .Revision, .TraceID. */
  readonly requestLogTemplate: Template | undefined
  readonly metrics: Exporter<MetricsProtocol>
  readonly requestMetrics: Exporter<MetricsProtocol>
  readonly tracing: Exporter<TracingProtocol> & { readonly samplingRate: number }
  /** `Server-Timing` on the answers of requests that waited for a pod to start. */
  readonly serverTiming: boolean
  readonly runtimeProfiling: boolean
  readonly runtimeExportIntervalMs: number
}

const defaultRequestLog = `{"httpRequest": {"requestMethod": "{{.Request.Method}}", "requestUrl": "{{js .Request.RequestURI}}", "requestSize": "{{.Request.ContentLength}}", "status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", "userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", "serverIp": "{{.Revision.PodIP}}", "referer": "{{js .Request.Referer}}", "latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}`

function oneOf<P extends string>(
  data: ConfigData,
  key: string,
  words: readonly P[],
  fallback: P,
): P {
  const text = data[key]
  if (text === undefined || text === '') return fallback
  const found = words.find((word) => word === text)
  if (!found) throw new Error(`unsupported ${key} ${JSON.stringify(text)}`)
  return found
}

/** An empty value leaves it to the exporter. */
const interval = (data: ConfigData, key: string): number =>
  data[key] === '' ? 0 : asDurationMs(data, 0, key)

function exporter<P extends string>(
  data: ConfigData,
  prefix: string,
  words: readonly P[],
  none: P,
): Exporter<P> {
  const protocol = oneOf(data, `${prefix}-protocol`, words, none)
  const endpoint = asString(data, '', `${prefix}-endpoint`)
  if ((protocol === 'grpc' || protocol === 'http/protobuf') && !endpoint)
    throw new Error(
      `${prefix}-endpoint should be set when ${prefix}-protocol is ${JSON.stringify(protocol)}`,
    )
  if (protocol === 'none' && endpoint)
    throw new Error(`${prefix}-endpoint should not be set when ${prefix}-protocol is "none"`)
  const exportIntervalMs = interval(data, `${prefix}-export-interval`)
  if (exportIntervalMs < 0) throw new Error(`${prefix}-export-interval cannot be negative`)
  return { protocol, endpoint, exportIntervalMs }
}

const metricsProtocols = ['none', 'prometheus', 'grpc', 'http/protobuf'] as const
const tracingProtocols = ['none', 'stdout', 'grpc', 'http/protobuf'] as const

function parse(data: ConfigData): ObservabilityConfig {
  const enableRequestLog = asBoolean(data, false, 'logging.enable-request-log')
  const template = asString(data, defaultRequestLog, 'logging.request-log-template')
  if (enableRequestLog && template === '') {
    throw new Error(
      'logging.request-log-template was set to "" while logging.enable-request-log is true',
    )
  }
  const samplingRate = asFloat(data, 1, 'tracing-sampling-rate')
  if (samplingRate < 0 || samplingRate > 1)
    throw new Error(`tracing-sampling-rate = ${goFloat(samplingRate)}, must be in [0, 1] interval`)
  return {
    enableVarLogCollection: asBoolean(data, false, 'logging.enable-var-log-collection'),
    revisionUrlTemplate: asString(data, '', 'logging.revision-url-template'),
    enableRequestLog,
    enableProbeRequestLog: asBoolean(data, false, 'logging.enable-probe-request-log'),
    requestLogTemplate: template === '' ? undefined : compileTemplate('requestLog', template),
    metrics: exporter(data, 'metrics', metricsProtocols, 'none'),
    requestMetrics: exporter(data, 'request-metrics', metricsProtocols, 'none'),
    tracing: { ...exporter(data, 'tracing', tracingProtocols, 'none'), samplingRate },
    serverTiming: asBoolean(data, true, 'server-timing'),
    runtimeProfiling:
      oneOf(data, 'runtime-profiling', ['enabled', 'disabled'], 'disabled') === 'enabled',
    runtimeExportIntervalMs: interval(data, 'runtime-export-interval'),
  }
}

export const configObservability: Config<ObservabilityConfig> = defineConfig({
  name: 'config-observability',
  component: 'observability',
  parse,
  example: `
# Examples. Copy a line to the top level of the ConfigMap, directly below
# "data", to make it count.

# Whether files under /var/log of the containers are collected.
logging.enable-var-log-collection: "false"

# Where the logs of a Revision can be read; shown as its logUrl.
logging.revision-url-template: "http://logs.example.com/?revision=\${REVISION_UID}"

# Whether each request is logged, and how: a Go template over .Request,
# .Response, .Revision and .TraceID, one line a request.
logging.enable-request-log: "false"
logging.request-log-template: '${defaultRequestLog}'

# Whether probes are logged too.
logging.enable-probe-request-log: "false"

# How the platform's metrics are exported: "none", "prometheus", "grpc" or
# "http/protobuf"; the last two need an endpoint.
metrics-protocol: "none"
metrics-endpoint: ""
metrics-export-interval: ""

# How request metrics are exported, likewise.
request-metrics-protocol: "none"
request-metrics-endpoint: ""
request-metrics-export-interval: ""

# How traces are exported: "none", "stdout", "grpc" or "http/protobuf", and
# which part of the requests is traced, 0 to 1.
tracing-protocol: "none"
tracing-endpoint: ""
tracing-sampling-rate: "1"

# Whether requests that waited for a pod to start tell in the header
# Server-Timing for how long and why.
server-timing: "true"

# Whether profiles can be taken.
runtime-profiling: "disabled"
runtime-export-interval: ""
`,
})

/**
 * ConfigMaps of knative-eventing about Knative's own processes: read and checked so that bad values are refused as
 * elsewhere. Ebb is one process with its own logs and metrics: what has no meaning here is said.
 */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import { parseDuration } from '../../../knative/duration.ts'

type Data = Readonly<Record<string, string>>

const banner = `
################################
#                              #
#    EXAMPLE CONFIGURATION     #
#                              #
################################
`

function oneOf<W extends string>(data: Data, key: string, words: readonly W[], fallback: W): W {
  const said = data[key] ?? fallback
  const found = words.find((each) => each === said)
  if (found === undefined)
    throw new Error(`invalid value "${said}" for key ${key}: expected one of ${words.join(', ')}`)
  return found
}

/** Milliseconds. */
function duration(data: Data, key: string, fallback: string): number {
  const said = data[key] ?? fallback
  const ms = parseDuration(said)
  if (ms === undefined)
    throw new Error(`invalid value "${said}" for key ${key}: expected a duration such as 15s`)
  return ms
}

function whole(data: Data, key: string, fallback: number, min: number): number {
  const said = data[key] ?? String(fallback)
  if (!/^-?\d+$/.test(said) || Number(said) < min)
    throw new Error(`invalid value "${said}" for key ${key}: expected a whole number from ${min}`)
  return Number(said)
}

function fraction(data: Data, key: string, fallback: number): number {
  const said = data[key] ?? String(fallback)
  const value = Number(said)
  if (said.trim() === '' || !(value >= 0 && value <= 1))
    throw new Error(`invalid value "${said}" for key ${key}: expected a number from 0 to 1`)
  return value
}

const levels = ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal']

export interface ObservabilityConfig {
  readonly metricsProtocol: string
  readonly tracingProtocol: 'none' | 'grpc' | 'http/protobuf' | 'stdout'
  readonly tracingEndpoint: string
  readonly tracingSamplingRate: number
  readonly runtimeProfiling: boolean
  readonly sinkEventErrorReporting: boolean
}

export const configEventingObservability: Config<ObservabilityConfig> = defineConfig({
  name: 'config-observability',
  component: 'eventing-controller',
  example: `${banner}
# none, prometheus, grpc or http/protobuf.
metrics-protocol: none

# Where metrics go with grpc and http/protobuf.
metrics-endpoint: ""

# How often they go there.
metrics-export-interval: 60s

# none, grpc, http/protobuf or stdout.
tracing-protocol: none
tracing-endpoint: ""

# 0 to 1: how many of the events are traced.
tracing-sampling-rate: "1"

# enabled or disabled.
runtime-profiling: disabled

# true: sources record Events when a sink refuses.
sink-event-error-reporting.enable: "false"
`,
  parse(data) {
    if (data['metrics-export-interval']) duration(data, 'metrics-export-interval', '60s')
    return {
      metricsProtocol: oneOf(
        data,
        'metrics-protocol',
        ['none', 'prometheus', 'grpc', 'http/protobuf'],
        'none',
      ),
      tracingProtocol: oneOf(
        data,
        'tracing-protocol',
        ['none', 'grpc', 'http/protobuf', 'stdout'],
        'none',
      ),
      tracingEndpoint: data['tracing-endpoint'] ?? '',
      tracingSamplingRate: fraction(data, 'tracing-sampling-rate', 1),
      runtimeProfiling:
        oneOf(data, 'runtime-profiling', ['enabled', 'disabled'], 'disabled') === 'enabled',
      sinkEventErrorReporting:
        oneOf(data, 'sink-event-error-reporting.enable', ['true', 'false'], 'false') === 'true',
    }
  },
})

export interface TracingConfig {
  readonly backend: string
  readonly sampleRate: number
}

/** Of Knative until 1.15; `config-observability` has taken its place. Not shipped: whoever brings it along may. */
export const configEventingTracing: Config<TracingConfig> = defineConfig({
  name: 'config-tracing',
  component: 'eventing-controller',
  example: '',
  parse: (data) => ({
    backend: oneOf(data, 'backend', ['none', 'zipkin', 'stackdriver'], 'none'),
    sampleRate: fraction(data, 'sample-rate', 0.1),
  }),
})

export interface LoggingConfig {
  /** By component. */
  readonly levels: Readonly<Record<string, string>>
}

export const configEventingLogging: Config<LoggingConfig> = defineConfig({
  name: 'config-logging',
  component: 'eventing-controller',
  example: `${banner}
# Of Knative's logger; its level counts where loglevel.COMPONENT says nothing.
zap-logger-config: |
  {
    "level": "info"
  }

# debug, info, warn, error, dpanic, panic or fatal.
loglevel.controller: "info"
loglevel.webhook: "info"
`,
  parse(data) {
    const zap = data['zap-logger-config']
    try {
      if (zap) JSON.parse(zap)
    } catch {
      throw new Error('invalid value for key zap-logger-config: expected JSON')
    }
    const prefix = 'loglevel.'
    const said = Object.keys(data).filter((key) => key.startsWith(prefix))
    return {
      levels: Object.fromEntries(
        said.map((key) => [key.slice(prefix.length), oneOf(data, key, levels, 'info')]),
      ),
    }
  },
})

export interface LeaderElectionConfig {
  readonly leaseDurationMs: number
  readonly renewDeadlineMs: number
  readonly retryPeriodMs: number
  readonly buckets: number
}

export const configEventingLeaderElection: Config<LeaderElectionConfig> = defineConfig({
  name: 'config-leader-election',
  component: 'eventing-controller',
  example: `${banner}
# How long others wait before they take over.
lease-duration: "15s"

# How long the leader tries to stay it.
renew-deadline: "10s"

# Between two tries.
retry-period: "2s"

# Parts that the work is shared in, 1 to 10.
buckets: "1"
`,
  parse(data) {
    const buckets = whole(data, 'buckets', 1, 1)
    if (buckets > 10)
      throw new Error(`invalid value "${buckets}" for key buckets: expected 1 to 10`)
    return {
      leaseDurationMs: duration(data, 'lease-duration', '15s'),
      renewDeadlineMs: duration(data, 'renew-deadline', '10s'),
      retryPeriodMs: duration(data, 'retry-period', '2s'),
      buckets,
    }
  },
})

export interface DispatcherConfig {
  readonly maxIdleConnections: number
  readonly maxIdleConnectionsPerHost: number
}

export const configDispatcher: Config<DispatcherConfig> = defineConfig({
  name: 'config-imc-event-dispatcher',
  component: 'imc-controller',
  example: `${banner}
# Connections that are kept for later, in all and to one host.
MaxIdleConnections: "1000"
MaxIdleConnectionsPerHost: "100"
`,
  parse: (data) => ({
    maxIdleConnections: whole(data, 'MaxIdleConnections', 1000, 1),
    maxIdleConnectionsPerHost: whole(data, 'MaxIdleConnectionsPerHost', 100, 1),
  }),
})

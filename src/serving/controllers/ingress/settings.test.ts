import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configDefaults } from '../../api/config/defaults.ts'
import { configObservability } from '../../api/config/observability.ts'
import { gatewaySettings } from './settings.ts'

const settings = (observability: Record<string, string>, defaults: Record<string, string> = {}) =>
  gatewaySettings(configObservability.parse(observability), configDefaults.parse(defaults))

test('request log and tracing are off unless they are switched on', () => {
  assert.deepEqual(settings({ 'logging.request-log-template': 'x' }), {
    serverTiming: true,
    longLivedStreams: false,
  })
  assert.deepEqual(
    settings(
      {
        'logging.enable-request-log': 'true',
        'logging.request-log-template': '{{.Response.Code}}',
        'logging.enable-probe-request-log': 'true',
        'tracing-protocol': 'grpc',
        'tracing-endpoint': 'collector:4317',
        'tracing-sampling-rate': '0.25',
        'server-timing': 'false',
      },
      { 'long-lived-streams': 'true' },
    ),
    {
      requestLogTemplate: '{{.Response.Code}}',
      logProbes: true,
      tracing: { protocol: 'grpc', endpoint: 'collector:4317', samplingRate: 0.25 },
      serverTiming: false,
      longLivedStreams: true,
    },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RevisionTarget } from '../feed.ts'
import { type FinishedRequest, merge, RevisionMetrics } from './metrics.ts'
import { metricsText } from './metrics-text.ts'

const target: RevisionTarget = {
  key: 'default/hello-00001',
  service: 'hello',
  configuration: 'hello',
  protocol: 'http1',
  containerConcurrency: 0,
  timeoutMs: 1000,
  responseStartTimeoutMs: 0,
  idleTimeoutMs: 0,
  backends: [],
}
const gateway = { connections: 3, waiting: 1, rejected: 2 }

const request = (over: Partial<FinishedRequest> = {}): FinishedRequest => ({
  method: 'GET',
  status: 200,
  version: '1.1',
  tag: 'kn:disabled',
  seconds: 0.03,
  requestBytes: 0,
  responseBytes: 13,
  ...over,
})

const sample = (text: string, start: string): string | undefined =>
  text
    .split('\n')
    .find((line) => line.startsWith(start))
    ?.split(' ')[1]

test('requests are counted by status, method, version and tag', () => {
  const metrics = new RevisionMetrics(target)
  metrics.finished(request())
  metrics.finished(request({ method: 'BREW', status: 418, version: '2', tag: 'blue' }))
  const text = metricsText(gateway, [metrics.snapshot(2, 1)])
  const all =
    'k8s_namespace_name="default",kn_service_name="hello",kn_configuration_name="hello",kn_revision_name="hello-00001"'
  const duration = `http_server_request_duration_seconds_bucket{${all},http_request_method="GET",http_response_status_code="200",network_protocol_version="1.1",kn_route_tag="kn:disabled"`
  assert.equal(sample(text, `${duration},le="0.025"}`), '0')
  assert.equal(sample(text, `${duration},le="0.05"}`), '1')
  assert.match(
    text,
    /http_request_method="_OTHER",http_response_status_code="418",network_protocol_version="2",kn_route_tag="blue"/,
  )
  assert.equal(
    sample(
      text,
      `kn_serving_invocation_duration_seconds_count{${all},http_response_status_code="418"}`,
    ),
    '1',
  )
  assert.equal(sample(text, `kn_revision_request_active{${all}}`), '1')
  assert.equal(sample(text, 'ebb_gateway_rejected_total'), '2')
})

test('many codes of a hostile pod do not grow the series without bound', () => {
  const metrics = new RevisionMetrics(target)
  for (let status = 100; status < 1000; status++) metrics.finished(request({ status }))
  const { series } = metrics.snapshot(0, 0)
  assert.ok(series.length <= 256 + 10, `${series.length} series`)
  const total = series.reduce(
    (sum, { seconds }) => sum + seconds.buckets.reduce((all, count) => all + count, 0),
    0,
  )
  assert.equal(total, 900)
})

test('snapshots of several workers add up', () => {
  const [a, b] = [new RevisionMetrics(target), new RevisionMetrics(target)]
  a.finished(request())
  b.finished(request({ seconds: 3 }))
  b.finished(request({ status: 500 }))
  const [merged, ...others] = merge([a.snapshot(1, 0), b.snapshot(2, 2)])
  assert.deepEqual(others, [])
  assert.equal(merged?.inFlight, 3)
  assert.equal(merged?.waiting, 2)
  assert.deepEqual(
    merged?.series.map(({ status, seconds }) => [
      status,
      seconds.buckets.reduce((all, count) => all + count, 0),
    ]),
    [
      [200, 2],
      [500, 1],
    ],
  )
})

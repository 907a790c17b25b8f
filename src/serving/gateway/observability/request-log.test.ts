import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findHeadEnd, parseRequestHead } from '../../../lib/http1/head.ts'
import { configObservability } from '../../api/config/observability.ts'
import { type LoggedRequest, RequestLog } from './request-log.ts'

function logged(over: Partial<LoggedRequest> = {}): LoggedRequest {
  const bytes = Buffer.from(
    'POST /a?b=c HTTP/1.1\r\nHost: hello.example.com\r\nuser-agent: curl "8"\r\nX-Two: 1\r\nx-two: 2\r\nReferer: http://r/\r\nContent-Length: 5\r\n\r\n',
    'latin1',
  )
  return {
    head: parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 100),
    version: '1.1',
    secure: false,
    remoteAddress: '192.0.2.1:4711',
    status: 200,
    responseBytes: 13,
    seconds: 0.25,
    target: {
      key: 'default/hello-00001',
      service: 'hello',
      configuration: 'hello-c',
      protocol: 'http1',
      containerConcurrency: 0,
      timeoutMs: 1000,
      responseStartTimeoutMs: 0,
      idleTimeoutMs: 0,
      backends: [],
    },
    podName: 'hello-00001-x',
    podIP: '10.0.0.7',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ...over,
  }
}

function line(template: string, request = logged()): string {
  let text = ''
  new RequestLog(template, (written) => (text += written)).log(request)
  return text
}

test("Knative's default template makes a line of JSON", () => {
  const template = configObservability.defaults.requestLogTemplate
  assert.ok(template)
  assert.deepEqual(JSON.parse(line(template.text)), {
    httpRequest: {
      requestMethod: 'POST',
      requestUrl: '/a?b=c',
      requestSize: '5',
      status: 200,
      responseSize: '13',
      userAgent: 'curl "8"',
      remoteIp: '192.0.2.1:4711',
      serverIp: '10.0.0.7',
      referer: 'http://r/',
      latency: '0.25s',
      protocol: 'HTTP/1.1',
    },
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  })
})

test('a template reaches headers, revision and pod as in Go', () => {
  assert.equal(
    line(
      '{{.Request.Header.Get "x-two"}} {{index .Request.Header "X-Two"}} {{.Request.Host}} {{.Revision.Namespace}}/{{.Revision.Name}} {{.Revision.Service}} {{.Revision.PodName}}{{if .Request.TLS}} tls{{end}}',
    ),
    '1 [1 2] hello.example.com default/hello-00001 hello hello-00001-x\n',
  )
})

test('a template that names what is not there says so on each line', () => {
  assert.equal(
    line('{{.Request.Nonsense}}'),
    'Invalid request log template: method: POST, response code: 200, latency: 0.25, url: /a?b=c\n',
  )
})

test('the trace id comes from B3 headers when there is no traceparent', () => {
  assert.equal(line('[{{.TraceID}}]', logged({ traceparent: '' })), '[]\n')
})

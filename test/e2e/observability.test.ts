/** What a user sees of requests: metrics, request log, traces, Server-Timing, each switched on as in Knative. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { appDir, configure, hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

describe('requests are seen', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const host = 'hello.default.localhost'
  before(async () => {
    ebb = await startEbb()
    await hurry(ebb)
    const deployed = await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'hello')
    assert.equal(deployed.code, 0, deployed.stderr)
  })
  after(() => ebb[Symbol.asyncDispose]())

  test('metrics by revision, where endpoints.json says', async () => {
    const endpoints = JSON.parse(await readFile(join(ebb.dataDir, 'endpoints.json'), 'utf8')) as {
      readonly metrics: string
    }
    assert.equal((await ebb.get(host)).status, 200)
    const text = await (await fetch(endpoints.metrics)).text()
    assert.match(
      text,
      /http_server_request_duration_seconds_count\{k8s_namespace_name="default",kn_service_name="hello",kn_configuration_name="hello",kn_revision_name="hello-00001",http_request_method="GET",http_response_status_code="200",network_protocol_version="1.1",kn_route_tag="kn:disabled"\} [1-9]/,
    )
  })

  test('the request log has a line a request once it is switched on', async () => {
    await configure(ebb, 'config-observability', { 'logging.enable-request-log': 'true' })
    const lines = await until('a line in the log of the gateway', async () => {
      await ebb.get(host, '/logged?a=b')
      const log = await readFile(join(ebb.dataDir, 'log', 'gateway.log'), 'utf8')
      const found = log.split('\n').filter((line) => line.includes('/logged?a'))
      return found.length > 0 && found
    })
    const { httpRequest } = JSON.parse(lines[0] ?? '') as { readonly httpRequest: object }
    const { requestMethod, requestUrl, status, protocol, serverIp } = httpRequest as Record<
      string,
      unknown
    >
    assert.deepEqual([requestMethod, status, protocol], ['GET', 200, 'HTTP/1.1'])
    assert.equal(requestUrl, '/logged?a=b')
    assert.match(String(serverIp), /^[\d.]+$/)
    await configure(ebb, 'config-observability', { 'logging.enable-request-log': 'false' })
  })

  test('spans reach a collector once tracing is switched on, and the answer at zero says where its time went', async () => {
    const bodies: Buffer[] = []
    const collector = createServer((request, response) => {
      request.on('data', (bytes: Buffer) => bodies.push(bytes))
      request.on('end', () => response.end())
    })
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
    const { port } = collector.address() as AddressInfo
    await configure(ebb, 'config-observability', {
      'tracing-protocol': 'http/protobuf',
      'tracing-endpoint': `http://127.0.0.1:${port}/v1/traces`,
      'tracing-sampling-rate': '1',
    })
    await until('no pod is left', async () => !(await ebb.ok('get', 'pods', '-o', 'name')).trim())
    const { headers, status } = await ebb.get(host)
    assert.equal(status, 200)
    assert.match(String(headers['server-timing']), /^start;.*dur=[\d.]+, queue;.*, app;/)
    await until('spans of the cold request', () => {
      const text = Buffer.concat(bodies).toString('latin1')
      return ['throttler_try', 'activator_proxy', 'hello-00001'].every((word) =>
        text.includes(word),
      )
    })
    collector.closeAllConnections()
    collector.close()
  })
})

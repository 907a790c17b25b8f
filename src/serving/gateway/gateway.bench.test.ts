/** The bench runs at its smallest size, so that it never rots. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchGateway, installed, parseWrk } from './gateway.bench.ts'
import { benchGatewayHttp2, parseH2load } from './http2.bench.ts'

test('the bench of the gateway measures requests through it', async () => {
  const rows = await benchGateway({ connections: [2], seconds: 1, rounds: 1 })
  const requests = rows.find(({ name }) => name === 'gateway, 2 connections: requests')
  assert.ok(requests && requests.value > 10, JSON.stringify(rows))
  // CPU time comes in ticks of 10 ms, too coarse for one second.
  for (const { name, value } of rows) assert.ok(name.includes('CPU') || value > 0, name)
})

test('reads what wrk prints', () => {
  const text = `Running 1s test @ http://127.0.0.1:8080/
  1 threads and 50 connections
  Latency Distribution
     50%  838.00us
     75%    1.10ms
     90%    2.00ms
     99%    1.20s
  49478 requests in 1.00s, 5.00MB read
Requests/sec:  49470.50
Transfer/sec:      5.00MB
`
  assert.deepEqual(parseWrk(text), {
    requests: 49478,
    perSecond: 49470.5,
    p50Ms: 0.838,
    p99Ms: 1200,
  })
})

test('reads what h2load prints, and takes no failures for speed', () => {
  const text = `finished in 2.00s, 18185.00 req/s, 674.83KB/s
requests: 36370 total, 36470 started, 36370 done, 36370 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 36370 2xx, 0 3xx, 0 4xx, 0 5xx
`
  assert.deepEqual(parseH2load(text), { requests: 36_370, perSecond: 18_185 })
  assert.throws(() => parseH2load(text.replace('36370 2xx, 0 3xx', '36000 2xx, 370 3xx')))
  assert.throws(() => parseH2load(text.replace('0 failed', '1 failed')))
})

test('the bench of HTTP/2 measures requests through the gateway, where h2load and haproxy are', async () => {
  const rows = await benchGatewayHttp2({ loads: [[2, 2]], seconds: 1, rounds: 1 })
  for (const { name, value } of rows) assert.ok(name.includes('CPU') || value > 0, name)
  assert.equal(rows.length, installed('h2load') && installed('haproxy') ? 4 : 0)
})

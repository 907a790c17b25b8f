/** The bench runs at its smallest size, so that it never rots. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchGateway, parseWrk } from './gateway.bench.ts'

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

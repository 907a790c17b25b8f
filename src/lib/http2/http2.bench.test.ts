/** The bench runs at its smallest size, so that it never rots. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { benchHttp2, parseH2load } from './http2.bench.ts'

test('the bench of HTTP/2 measures requests', async () => {
  const servers = ['server', 'server on node:http2', 'proxy', 'proxy on node:http2']
  let measured: readonly string[] = []
  // Where much else runs, a tenth of a second may pass before the first request goes out.
  for (const seconds of [0.1, 1, 10]) {
    const rows = await benchHttp2({ loads: [[2, 2]], seconds, rounds: 1 })
    measured = servers.filter((server) =>
      rows.some(({ name, value }) => name === `h2, 2 × 2: ${server}, requests` && value > 0),
    )
    if (measured.length === servers.length) break
  }
  assert.deepEqual(measured, servers)
})

test('reads what h2load prints', () => {
  const text = `finished in 2.00s, 48216.50 req/s, 2.02MB/s
requests: 96433 total, 96443 started, 96433 done, 96433 succeeded, 0 failed, 0 errored, 0 timeout
`
  assert.deepEqual(parseH2load(text), { requests: 96_433, perSecond: 48_216.5 })
})

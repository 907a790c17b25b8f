/** The benches of the gateway run at their smallest size, so that they never rot, and read what their tools print. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rows as api } from '../bench/api.ts'
import { rows as events } from '../bench/events/events.ts'
import { parseDone } from '../bench/events/look.ts'
import { rows as bodies } from '../bench/gateway/bodies.ts'
import { rows as connections } from '../bench/gateway/connections.ts'
import { rows as http2 } from '../bench/gateway/http2.ts'
import { parseH2load, parseWrk } from '../bench/gateway/load.ts'
import { installed } from '../bench/gateway/peers.ts'
import { rows as images } from '../bench/images.ts'
import { shares } from '../bench/gateway/profile.ts'
import { rows as proxy } from '../bench/gateway/proxy.ts'
import { rows as webSocket } from '../bench/gateway/websocket.ts'
import { table, type Row } from '../bench/row.ts'

const valueOf = (rows: readonly Row[], name: string): number =>
  rows.find((row) => row.name === name)?.value ?? assert.fail(JSON.stringify(rows))

test('requests through the gateway are measured', async () => {
  const rows = await proxy({ connections: [2], seconds: 1, rounds: 1 })
  assert.ok(valueOf(rows, 'gateway, 2 connections: requests') > 10)
  assert.ok(valueOf(rows, 'gateway, 2 connections: CPU a request') > 0)
})

test('lists, watchers and applies of the API are measured', async () => {
  const rows = await api({ objects: 250, watchers: 5, applies: 3 })
  for (const name of [
    '5 watchers: a change has reached all, p50',
    'list of 250 pods as JSON: size',
  ])
    assert.ok(valueOf(rows, name) > 0, name)
})

test('WebSockets, bodies and resting connections are measured', async () => {
  if (installed('haproxy')) {
    const rows = await webSocket({ sockets: 2, seconds: 1, rounds: 1 })
    assert.ok(valueOf(rows, 'gateway, WebSocket echo, 2 sockets: messages there and back') > 10)
  }
  const moved = await bodies({ bytes: 2 ** 20, rounds: 1 })
  assert.ok(valueOf(moved, 'gateway, 1 MiB down: speed') > 0)
  assert.ok(valueOf(moved, 'gateway, 1 MiB up: speed') > 0)
  const held = await connections({ idle: 200, webSockets: 50 })
  assert.ok(valueOf(held, 'gateway, 200 idle connections: memory of one') < 200)
})

test('HTTP/2 through the gateway is measured, where h2load and haproxy are', async () => {
  const rows = await http2({ loads: [[2, 2]], seconds: 1, rounds: 1 })
  for (const { name, value } of rows) assert.ok(value > 0, name)
  assert.equal(rows.length, installed('h2load') && installed('haproxy') ? 4 : 0)
})

test('pulls and unpacking are measured, where docker-registry, skopeo and umoci are', async () => {
  const rows = await images({ megabytes: 1, smallFiles: 20, rounds: 1 })
  for (const { name, value } of rows) assert.ok(value > 0, name)
  const peers = ['docker-registry', 'skopeo', 'umoci'].every((command) => installed(command))
  assert.equal(rows.length > 0, peers)
})

test('reads what wrk prints, and takes no failures for speed', () => {
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
  assert.throws(() => parseWrk(`${text}  Non-2xx or 3xx responses: 3\n`))
})

test('reads what h2load prints, and takes no failures for speed', () => {
  const text = `finished in 2.00s, 18185.00 req/s, 674.83KB/s
requests: 36370 total, 36470 started, 36370 done, 36370 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 36370 2xx, 0 3xx, 0 4xx, 0 5xx
`
  assert.deepEqual(parseH2load(text), { requests: 36_370, perSecond: 18_185 })
  const aLittleEarly = text.replace('2.00s', '999.92ms')
  assert.deepEqual(parseH2load(aLittleEarly), { requests: 36_370, perSecond: 18_185 })
  assert.throws(() => parseH2load(text.replace('36370 2xx, 0 3xx', '36000 2xx, 370 3xx')))
  assert.throws(() => parseH2load(text.replace('0 failed', '1 failed')))
})

test('reads what perf saw: by kind, then by function, the kernel by who called it', () => {
  const text = `MainThread
\tffffffff81 tcp_sendmsg ([kernel.kallsyms])
\t7f00000001 __libc_write (/usr/lib/libc.so.6)
\t7f00000002 JS:*'start file:///app/src/serving/gateway/exchange/exchange.ts:162:8 (/tmp/perf-1.map)

MainThread
\t7f00000002 JS:*'start file:///app/src/serving/gateway/exchange/exchange.ts:162:8 (/tmp/perf-1.map)

V8Worker
\t7f00000003 v8::internal::Sweeper::RawSweep (/usr/bin/node)

`
  const share = new Map(shares(text).map(({ name, value }) => [name, Math.round(value)]))
  assert.equal(share.get('all: kernel'), 33)
  assert.equal(share.get('all: gateway, JavaScript'), 33)
  assert.equal(share.get('all: garbage collection'), 33)
  assert.equal(share.get('kernel, called by __libc_write'), 33)
  assert.equal(share.get('start serving/gateway/exchange/exchange.ts'), 33)
})

test('events are measured: ingest, delivery, fan-out, rest, recovery', async () => {
  const short = { seconds: 1, rounds: 1, restSeconds: 1 }
  const small = { connections: 4, triggers: 3, atRest: 5, stored: 1000 }
  const rows = await events({ ...short, ...small, peers: false })
  if (installed('wrk'))
    assert.ok(valueOf(rows, 'Ebb: HTTP, synced to disk, 4 in flight, 1 KB') > 10)
  assert.ok(valueOf(rows, 'to 3 Triggers: deliveries') > 3)
  assert.ok(valueOf(rows, '5 PingSources and 5 Triggers at rest: memory of all processes') > 0)
  assert.ok(valueOf(rows, 'engine started with 1,000 stored events') > 0)
  await assert.rejects(() => events({ only: ['fanout'] }), /unknown part fanout/)
})

test('reads what the script for wrk says, and takes no failures for speed', () => {
  const said = (failed: number) =>
    `Requests/sec: 10\n{"events":20,"micros":2000000,"p50Ms":1.5,"p99Ms":3,"failed":${failed}}\n`
  const look = { events: 20, p50Ms: 1.5, p99Ms: 3, eventsPerSecond: 10 }
  assert.deepEqual(parseDone(said(0)), look)
  assert.throws(() => parseDone(said(1)), /1 of 20/)
  assert.throws(() => parseDone('unable to connect\n'), /unexpected/)
})

test('what could not be measured is said in its row', () => {
  const rows: Row[] = [{ name: 'a peer that is not here', value: NaN, unit: 'x', goal: '>= 3 x' }]
  assert.match(table(rows), /^\| a peer that is not here \| not measured \| >= 3 x \|$/m)
})

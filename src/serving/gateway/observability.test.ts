import assert from 'node:assert/strict'
import { test } from 'node:test'
import { host, Fixture, get, startApp } from './gateway.fixture.ts'

const hello = (request: Parameters<Parameters<typeof startApp>[0]>[0]): void => request.answer('hi')
const trace = '4bf92f3577b34da6a3ce929d0e0e4736'

/** A gateway whose lines are kept; `line` resolves with the next one. */
async function observed(settings: object, options: Parameters<typeof Fixture.start>[0] = {}) {
  const lines: string[] = []
  const fixture = await Fixture.start({ ...options, writeLine: (line) => lines.push(line) })
  fixture.gateway.receive({ type: 'settings', settings })
  return { fixture, lines, [Symbol.asyncDispose]: () => fixture[Symbol.asyncDispose]() }
}

test('a request is logged by the template when the log is on, and not any more when it is off', async () => {
  await using app = await startApp(hello)
  await using world = await observed(
    {
      requestLogTemplate:
        '{{.Request.Method}} {{.Request.RequestURI}} {{.Response.Code}} {{.Response.Size}} {{.Revision.Name}} {{.Revision.PodName}} {{.Request.UserAgent}}',
    },
    { revision: { backends: [{ ...app.backend, podName: 'rev-deployment-1' }] } },
  )
  await world.fixture.request(get('/a?b=c', 'User-Agent: curl\r\n'))
  await world.fixture.request(get('/b', 'User-Agent: kube-probe/1.33\r\n'))
  assert.deepEqual(world.lines, ['GET /a?b=c 200 2 rev rev-deployment-1 curl\n'])
  world.fixture.gateway.receive({ type: 'settings', settings: {} })
  await world.fixture.request(get('/c'))
  assert.equal(world.lines.length, 1)
})

test('probes are logged where that is asked for', async () => {
  await using world = await observed({
    requestLogTemplate: '{{.Request.RequestURI}} {{.Response.Code}}',
    logProbes: true,
  })
  await world.fixture.request(get('/probe', 'K-Network-Probe: probe\r\nK-Network-Hash: a\r\n'))
  assert.deepEqual(world.lines, ['/probe 200\n'])
})

test('a template that is none turns the log off, and requests are answered', async () => {
  await using app = await startApp(hello)
  await using world = await observed(
    { requestLogTemplate: '{{.Request' },
    { revision: { backends: [app.backend] } },
  )
  assert.equal((await world.fixture.request(get())).status, 200)
  assert.deepEqual(world.lines, [])
})

test('trace context passes untouched while tracing is off', async () => {
  const given = `traceparent: 00-${trace}-00f067aa0ba902b7-01\r\ntracestate: a=b\r\nbaggage: c=d\r\n`
  let seen = ''
  await using app = await startApp((request) => {
    seen = request.head.names.map((name, at) => `${name}: ${request.head.values[at]}\r\n`).join('')
    request.answer('hi')
  })
  await using world = await observed({}, { revision: { backends: [app.backend] } })
  await world.fixture.request(get('/', given))
  assert.ok(seen.includes(given), seen)
})

test('with tracing on the pod continues the trace, and spans are told', async () => {
  let seen: string[] = []
  await using app = await startApp((request) => {
    const { names, values } = request.head
    seen = names.flatMap((name, at) =>
      name.toLowerCase().startsWith('trace') ? [`${values[at]}`] : [],
    )
    request.answer('hi')
  })
  await using world = await observed(
    { tracing: { protocol: 'stdout', endpoint: '', samplingRate: 0 } },
    { revision: { backends: [app.backend] } },
  )
  await world.fixture.request(
    get('/x', `traceparent: 00-${trace}-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n`),
  )
  interface Told {
    readonly span: { name: string; traceId: string; spanId: string; parentId: string }
  }
  const spans = world.lines.map((line) => (JSON.parse(line) as Told).span)
  assert.deepEqual(
    spans.map(({ name }) => name),
    ['GET', 'kn.queueproxy.wait', 'kn.queueproxy.proxy'],
  )
  assert.ok(spans.every(({ traceId }) => traceId === trace))
  assert.equal(spans[0]?.parentId, '00f067aa0ba902b7')
  assert.deepEqual(seen.toSorted(), [`00-${trace}-${spans[2]?.spanId}-01`, 'a=b'].toSorted())

  // Without a sender's word chance decides: never, at a rate of 0.
  await world.fixture.request(get('/y'))
  assert.equal(world.lines.length, 3)
  assert.match(seen[0] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
})

test('a cold request says where its time went, a warm one does not', async () => {
  await using app = await startApp(hello)
  await using world = await observed({})
  const cold = world.fixture.request(get())
  await world.fixture.message(({ type }) => type === 'wake')
  world.fixture.revision({ backends: [app.backend] })
  const timing = (await cold).headers.get('server-timing') ?? ''
  assert.match(timing, /^start;desc="[^"]+";dur=\d+\.\d, queue;.*dur=\d+\.\d, app;.*dur=\d+\.\d$/)
  assert.equal((await world.fixture.request(get())).headers.get('server-timing'), undefined)
  world.fixture.gateway.receive({ type: 'settings', settings: { serverTiming: false } })
  assert.equal(
    (await world.fixture.request(get(`/?${host}`))).headers.get('server-timing'),
    undefined,
  )
})

/** What an event leaves in a trace: who is whose parent, and what each step says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Span } from '../../../lib/otlp/span.ts'
import { broker, event, trigger, World } from '../engine.fixture.ts'
import type { EngineConfig } from '../feed.ts'

const traced = (config: EngineConfig, samplingRate = 1): EngineConfig => ({
  ...config,
  tracing: { protocol: 'stdout', endpoint: '', samplingRate },
})

interface Told extends Span {
  readonly resource: Readonly<Record<string, string>>
}

const spansOf = (world: World): readonly Told[] =>
  world.spans.map((line) => (JSON.parse(line) as { span: Told }).span)

const sender = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

test('an event is received, brought to a Trigger, tried and tried again, and its answer goes on in the trace', async () => {
  await using world = await World.create()
  const answer = { headers: Object.entries(event({ 'ce-type': 'answer', 'ce-id': 'a1' })) }
  world.answers.set('http://ask/', [{ status: 503 }, answer])
  const wanted = { filter: { filter: { attributes: { type: 'test.event' } } } }
  const backoff = { policy: 'exponential', delayMs: 1000 } as const
  const ask = trigger('ask', { ...wanted, delivery: { retry: 1, backoff } })
  await world.engine.apply(traced(broker(ask)))
  await world.post('/default/b', event({ traceparent: sender }))
  await world.settled('uid-ask')
  const told = spansOf(world)
  assert.ok(told.every(({ traceId }) => traceId === sender.slice(3, 35)))
  const shown = told.map(({ name, kind, error }) => [name, kind, error])
  assert.deepEqual(shown, [
    ['broker:b.default', 'server', undefined],
    ['POST', 'client', '503'],
    ['POST', 'client', undefined],
    ['broker:b.default', 'server', undefined],
    ['trigger:ask.default', 'consumer', undefined],
  ])
  const [received, first, second, entered, brought] = told
  assert.equal(received?.parentId, sender.slice(36, 52))
  assert.equal(brought?.parentId, received?.spanId)
  assert.deepEqual([first?.parentId, second?.parentId], [brought?.spanId, brought?.spanId])
  // What the subscriber hears is a child of ours, and so is its answer.
  assert.equal(world.sent[0]?.headers['traceparent']?.slice(36, 52), brought?.spanId)
  assert.equal(entered?.parentId, brought?.spanId)
  assert.equal(new Set(told.map(({ spanId }) => spanId)).size, told.length)
  assert.ok((brought?.endMs ?? 0) - (brought?.startMs ?? 0) >= 1000)
  assert.equal(second?.attributes['http.response.status_code'], 200)
  assert.equal(brought?.attributes['kn.trigger.name'], 'ask')
  assert.equal(received?.attributes['cloudevents.event_type'], 'test.event')
  assert.equal(received?.resource['service.name'], 'mt-broker-ingress')
  assert.equal(brought?.resource['service.name'], 'mt-broker-filter')
})

test('what its sender does not record is not recorded, and without a sender chance decides for all of it', async () => {
  await using world = await World.create()
  await world.engine.apply(traced(broker(trigger('t'))))
  await world.post('/default/b', event({ traceparent: sender.replace(/01$/, '00') }))
  await world.settled('uid-t')
  assert.equal(world.spans.length, 0)
  assert.match(world.sent[0]?.headers['traceparent'] ?? '', /-00$/)
  await world.engine.apply(traced(broker(trigger('t')), 0.5))
  for (let id = 0; id < 200; id++) await world.post('/default/b', event({ 'ce-id': `${id}` }))
  await world.settled('uid-t')
  const traces = Map.groupBy(spansOf(world), ({ traceId }) => traceId)
  assert.ok(traces.size > 60 && traces.size < 140, `${traces.size} of 200`)
  assert.ok([...traces.values()].every((spans) => spans.length === 3))
  const said = world.sent.slice(1).map(({ headers }) => headers['traceparent'] ?? '')
  assert.equal(said.filter((each) => each.endsWith('-01')).length, traces.size)
  await world.engine.apply(broker(trigger('t')))
  world.spans.length = 0
  await world.post('/default/b', event({ traceparent: sender }))
  await world.settled('uid-t')
  assert.equal(world.spans.length, 0)
})

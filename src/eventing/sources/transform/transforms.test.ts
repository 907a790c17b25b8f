import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import type { BufferedAnswer } from '../../../lib/http1/buffered-server.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import type { Guards } from '../../broker/authorization/guard.ts'
import type { TransformConfig } from '../../broker/feed.ts'
import type { Message } from '../../cloudevents/http-binding.ts'
import type { Answer, Sender } from '../../broker/delivery/sender.ts'
import { Transforms } from './transforms.ts'

const host = 'tr-jsonata.default.svc.cluster.local'
const config = (expression: string, more: Partial<TransformConfig> = {}): TransformConfig => ({
  uid: 'u1',
  namespace: 'default',
  name: 'tr',
  hosts: [host],
  expression,
  ...more,
})

const event = [
  ['ce-specversion', '1.0'],
  ['ce-id', '1'],
  ['ce-type', 't'],
  ['ce-source', '/s'],
  ['content-type', 'application/json'],
] as const

function head(headers: readonly (readonly [string, string])[], more: Partial<RequestHead>) {
  const bare: Pick<RequestHead, 'method' | 'target' | 'host' | 'names' | 'values'> = {
    method: 'POST',
    target: '/',
    host,
    names: headers.map(([name]) => name),
    values: headers.map(([, value]) => value),
    ...more,
  }
  return bare as RequestHead
}

async function world(
  first: TransformConfig,
  answer: Answer = { status: 202, headers: [], body: Buffer.alloc(0) },
  limitMs = 30_000,
) {
  const sent: Message[] = []
  const sender: Sender = {
    async send(_to, message) {
      sent.push(message)
      return answer
    },
    [Symbol.dispose]() {},
  }
  const transforms = new Transforms({ clock: systemClock, sender, limitMs })
  const problems = await transforms.apply([first])
  const post = async (
    headers: readonly (readonly [string, string])[],
    body: string,
    more: Partial<RequestHead> = {},
  ): Promise<BufferedAnswer> =>
    (await transforms.handle({ head: head(headers, more), body: Buffer.from(body) })) ??
    assert.fail('not for us')
  return { transforms, problems, sent, post }
}

const headersOf = ({ headers = [] }: BufferedAnswer) => Object.fromEntries(headers)

describe('transforms', () => {
  test('an event becomes what the expression says; the result is the answer', async () => {
    const { transforms, post } = await world(
      config('$merge([$, {"type": "x", "data": data.n + 1}])'),
    )
    await using _ = transforms
    const answer = await post(event, '{"n": 41}')
    assert.equal(answer.status, 200)
    assert.equal(headersOf(answer)['Content-Type'], 'application/cloudevents+json')
    assert.deepEqual(JSON.parse(String(answer.body)), {
      specversion: '1.0',
      id: '1',
      type: 'x',
      source: '/s',
      datacontenttype: 'application/json',
      data: 42,
    })
    const plain = await post([['content-type', 'application/json']], '{"data":{"n":1}}')
    assert.equal(headersOf(plain)['Content-Type'], 'application/json')
  })

  test('what does not match, fails, or is a batch is refused with the reason', async () => {
    const { transforms, post } = await world(config('data.nothing'))
    await using _ = transforms
    const missing = await post(event, '{}')
    assert.equal(missing.status, 500)
    assert.match(headersOf(missing)['Reason'] ?? '', /matched nothing/)
    const batch = await post([['content-type', 'application/cloudevents-batch+json']], '[]')
    assert.equal(batch.status, 400)
    await transforms.apply([config('$sum("a")')])
    assert.equal((await post(event, '{}')).status, 500)
    assert.equal((await post(event, '{}', { method: 'GET', target: '/healthz' })).status, 200)
    assert.equal((await post(event, '{}', { method: 'PUT' })).status, 405)
  })

  test('an expression that can not be read is said to be so', async () => {
    const { transforms, problems, post } = await world(config('{"a"'))
    await using _ = transforms
    assert.match(problems['u1'] ?? '', /at character/)
    assert.equal((await post(event, '{}')).status, 500)
    // Also where nothing has changed, and not any more when it has.
    assert.deepEqual(await transforms.apply([config('{"a"')]), problems)
    assert.deepEqual(await transforms.apply([config('$', { replyExpression: '$(' })]), {
      u1: (await world(config('$('))).problems['u1'],
    })
    assert.deepEqual(await transforms.apply([config('$')]), {})
    assert.equal((await post(event, '{}')).status, 200)
  })

  test('an expression without end is stopped, and the next event is served', async () => {
    const endless = '($f := function($n) { $f($n + 1) }; data.go ? $f(0) : "done")'
    const { transforms, post } = await world(config(endless), undefined, 1_000)
    await using _ = transforms
    const [hung, fine] = await Promise.all([
      post(event, '{"go": true}'),
      post(event, '{"go": false}'),
    ])
    assert.equal(hung.status, 500)
    assert.equal(fine.status, 200)
    assert.equal(fine.body, '"done"')
  })

  test('an expression that eats all memory costs an answer, and the next event is served', async () => {
    // Three times ten million numbers in one array: more than there is, whatever the collector does.
    const many = '[1..9999999]'
    const greedy = `data.go ? $sum($append(${many}, $append(${many}, ${many}))) : "done"`
    const { transforms, post } = await world(config(greedy))
    await using _ = transforms
    const eaten = await post(event, '{"go": true}')
    assert.equal(eaten.status, 500)
    assert.match(headersOf(eaten)['Reason'] ?? '', /more than 128 MB of memory|took longer than/)
    assert.equal((await post(event, '{"go": false}')).body, '"done"')
  })

  test('with a sink: its status, its answer transformed, or nothing of it', async () => {
    const reply: Answer = {
      status: 201,
      headers: [['content-type', 'application/json'], ...event.slice(0, 4)],
      body: Buffer.from('{"a": 1}'),
    }
    const sink = { url: 'http://sink/' }
    const { transforms, sent, post } = await world(config('{"b": data.n}', { sink }), reply)
    await using _ = transforms
    const trace = [
      'traceparent',
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    ] as const
    const passed = await post([...event, trace], '{"n": 1}')
    assert.equal(new Map(sent[0]?.headers).get('traceparent'), trace[1])
    assert.equal(passed.status, 201)
    assert.equal(String(passed.body), '{"a": 1}')
    assert.equal(headersOf(passed)['ce-type'], 't')
    assert.equal(sent[0]?.body.toString(), '{"b":1}')
    await transforms.apply([config('{"b": data.n}', { sink, replyExpression: 'data.a + 1' })])
    const changed = await post(event, '{"n": 1}')
    assert.equal(changed.status, 201)
    assert.equal(String(changed.body), '2')
    await transforms.apply([config('{"b": data.n}', { sink, discardReply: true })])
    const dropped = await post(event, '{"n": 1}')
    assert.deepEqual(dropped, { status: 201 })
  })

  test('other hosts are somebody else', async () => {
    const { transforms } = await world(config('$'))
    await using _ = transforms
    const other = transforms.handle({
      head: head(event, { host: 'broker-ingress' }),
      body: Buffer.alloc(0),
    })
    assert.equal(other, undefined)
  })
})

test('a transform with a gate asks who sends, whatever is sent', async () => {
  const asked: number[] = []
  const guards: Guards = {
    trust() {},
    guard: (gate) =>
      gate &&
      (async (headers, events) => {
        asked.push(events.length)
        return headers.some(([name]) => name === 'authorization') ? undefined : { status: 403 }
      }),
  }
  const sender: Sender = {
    send: () => Promise.reject(new Error('it has no sink')),
    [Symbol.dispose]() {},
  }
  await using transforms = new Transforms({ clock: systemClock, sender, guards })
  const gate = { audience: 'x', namespace: 'ns', mode: 'deny-all', policies: [] } as const
  await transforms.apply([config('$', { gate })])
  const ask = async (headers: readonly (readonly [string, string])[]) =>
    (await transforms.handle({ head: head(headers, {}), body: Buffer.from('{}') }))?.status
  assert.equal(await ask(event), 403)
  assert.equal(await ask([['content-type', 'application/json']]), 403)
  assert.equal(await ask([...event, ['authorization', 'Bearer x']]), 200)
  assert.deepEqual(asked, [1, 0, 1])
})

test('events that a sink keeps waiting, and results without end, do not eat the memory', async () => {
  const answers: (() => void)[] = []
  const sender: Sender = {
    send: () =>
      new Promise((resolve) =>
        answers.push(() => resolve({ status: 202, headers: [], body: Buffer.alloc(0) })),
      ),
    [Symbol.dispose]() {},
  }
  await using transforms = new Transforms({ clock: systemClock, sender, mostHeldBytes: 1_000 })
  const sink = { url: 'http://sink/' }
  await transforms.apply([
    config('"x"', { sink }),
    config('($line := $pad("", 20000); $join([1..1000].$line))', { uid: 'u2', hosts: ['b'] }),
  ])
  const post = async (of = host) =>
    (await transforms.handle({ head: head(event, { host: of }), body: Buffer.alloc(600) })) ??
    assert.fail('not for us')
  const first = post()
  const second = await post()
  assert.equal(second.status, 503)
  assert.equal(headersOf(second)['Retry-After'], '1')
  while (answers.length === 0) await new Promise((resolve) => setImmediate(resolve))
  answers.shift()?.()
  assert.equal((await first).status, 202)
  const endless = await post('b')
  assert.equal(endless.status, 500)
  assert.match(String(endless.body), /20000002 characters, expected at most 16777216/)
})

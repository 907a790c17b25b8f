import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BufferedAnswer, Caller } from '../../../lib/http1/buffered-server.ts'
import type { RequestHead } from '../../../lib/http1/head.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { isMark, keysOf } from '../../broker/delivery/correlation.ts'
import type { RequestReplyConfig } from '../../broker/feed.ts'
import { SendError, type Answer, type Sender } from '../../broker/delivery/sender.ts'
import type { Headers, Message } from '../../cloudevents/http-binding.ts'
import { RequestReplies } from './request-replies.ts'

const host = 'request-reply.knative-eventing.svc.cluster.local'
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')
const config: RequestReplyConfig = {
  uid: 'u1',
  namespace: 'ns',
  name: 'rr',
  correlationAttribute: 'ask',
  replyAttribute: 'to',
  timeoutMs: 5_000,
  keys: [key(1)],
  broker: { url: 'http://broker/ns/b' },
}

const event = (more: Readonly<Record<string, string>> = {}): Headers =>
  Object.entries({
    'ce-specversion': '1.0',
    'ce-id': 'urn:1',
    'ce-type': 't',
    'ce-source': '/s',
    ...more,
  })

function world(
  first: Partial<RequestReplyConfig> = {},
  broker: () => Promise<Answer> = async () => ({ status: 202, headers: [], body: Buffer.alloc(0) }),
) {
  const clock = new SimClock()
  const sent: Message[] = []
  const sender: Sender = {
    send(_to, message) {
      sent.push(message)
      return broker()
    },
    [Symbol.dispose]() {},
  }
  let drawn = 0
  const randomBytes = (count: number) => Buffer.alloc(count, ++drawn)
  const replies = new RequestReplies({ clock, sender, randomBytes, mostWaiting: 2 })
  replies.apply([{ ...config, ...first }], [host])
  const post = (
    target: string,
    headers: Headers = event(),
    body = '',
    more: Partial<RequestHead> = {},
    caller?: Caller,
  ): Promise<BufferedAnswer> => {
    const head: Pick<RequestHead, 'method' | 'target' | 'host' | 'names' | 'values'> = {
      method: 'POST',
      target,
      host,
      names: headers.map(([name]) => name),
      values: headers.map(([, value]) => value),
      ...more,
    }
    const answer = replies.handle({
      head: head as RequestHead,
      body: Buffer.from(body),
      ...(caller && { caller }),
    })
    assert.ok(answer, 'it is for a RequestReply')
    return Promise.resolve(answer)
  }
  /** What the last message to the Broker was marked with. */
  const mark = () => sent.at(-1)?.headers.find(([name]) => name === 'ce-ask')?.[1] ?? ''
  return { clock, sent, replies, post, mark }
}

const text = ({ body = '' }: BufferedAnswer): string => body.toString()

test('a request is marked and sent into the Broker, and answered with the event that has its mark', async () => {
  const { post, mark, sent } = world()
  const trace = ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'] as const
  const headers = [...event({ 'content-type': 'text/plain', 'x-request-id': 'r' }), trace]
  const asked = post('/ns/rr', headers, 'hello')
  assert.ok(isMark(mark(), keysOf(config.keys)), mark())
  assert.match(mark(), /^urn:1:[\w-]+:0$/)
  const [message] = sent
  assert.equal(message?.body.toString(), 'hello')
  const passed = new Map(message?.headers)
  assert.equal(passed.get('ce-id'), 'urn:1')
  assert.equal(passed.get('x-request-id'), 'r')
  assert.equal(passed.get('kn-namespace'), 'ns')
  assert.equal(passed.get('traceparent'), trace[1])
  const reply = event({ 'ce-id': '2', 'ce-to': mark(), 'content-type': 'text/plain' })
  assert.equal((await post('/ns/rr/reply', reply, 'world')).status, 202)
  const answer = await asked
  assert.equal(answer.status, 200)
  assert.equal(text(answer), 'world')
  const said = new Map(answer.headers)
  assert.deepEqual([said.get('ce-id'), said.get('content-type')], ['2', 'text/plain'])
  assert.equal((await post('/ns/rr/reply', reply)).status, 202, 'a second answer is let go')
})

test('two requests with one id each get their own answer', async () => {
  const { post, mark } = world()
  const [one, first] = [post('/ns/rr'), mark()]
  const [two, second] = [post('/ns/rr'), mark()]
  assert.notEqual(first, second)
  await post('/ns/rr/reply', event({ 'ce-to': second }), 'second')
  await post('/ns/rr/reply', event({ 'ce-to': first }), 'first')
  assert.deepEqual([text(await one), text(await two)], ['first', 'second'])
})

test('forged and missing marks are refused, and answer nobody', async () => {
  const { post, mark, clock } = world()
  const asked = post('/ns/rr')
  const forged = mark().replace(/.(?=.:0$)/, (letter) => (letter === 'A' ? 'B' : 'A'))
  for (const [more, reason] of [
    [{}, /to: missing/],
    [{ 'ce-to': forged }, /no key .* has made it/],
    [{ 'ce-to': 'urn:1' }, /no key/],
  ] as const) {
    const answer = await post('/ns/rr/reply', event(more))
    assert.equal(answer.status, 400)
    assert.match(text(answer), reason)
  }
  await clock.advance(5_000)
  assert.equal((await asked).status, 504)
})

test('who waits too long gets 504; a late answer is let go, and its place is free again', async () => {
  const { post, mark, clock } = world()
  const asked = post('/ns/rr')
  const late = mark()
  await clock.advance(4_999)
  const second = post('/ns/rr')
  const third = await post('/ns/rr')
  assert.equal(third.status, 503)
  assert.equal(new Map(third.headers).get('Retry-After'), '1')
  await clock.advance(1)
  const answer = await asked
  assert.equal(answer.status, 504)
  assert.match(text(answer), /within 5 s .* whose to is the mark/)
  assert.equal((await post('/ns/rr/reply', event({ 'ce-to': late }))).status, 202)
  const fourth = post('/ns/rr')
  await post('/ns/rr/reply', event({ 'ce-to': mark() }))
  assert.equal((await fourth).status, 200)
  await clock.advance(5_000)
  assert.equal((await second).status, 504)
})

test('what the Broker does not take is an error at once', async () => {
  const refusing = world({}, async () => ({ status: 503, headers: [], body: Buffer.alloc(0) }))
  const refused = await refusing.post('/ns/rr')
  assert.equal(refused.status, 500)
  assert.match(text(refused), /the Broker answered 503/)
  const gone = world({}, () => Promise.reject(new SendError('nobody listens')))
  assert.match(text(await gone.post('/ns/rr')), /nobody listens/)
  const { broker: _, ...withoutBroker } = config
  const { post, replies } = world()
  replies.apply([withoutBroker], [host])
  assert.match(text(await post('/ns/rr')), /no address/)
  replies.apply([{ ...config, keys: ['AAAA'] }], [host])
  const answer = await post('/ns/rr')
  assert.equal(answer.status, 500)
  assert.match(text(answer), /request-reply-keys/)
})

test('keys are changed under those who wait: the newest marks, what is left is believed', async () => {
  const { post, mark, replies } = world()
  const asked = post('/ns/rr')
  const before = mark()
  replies.apply([{ ...config, keys: [key(2), key(1)] }], [host])
  const next = post('/ns/rr')
  assert.ok(isMark(mark(), keysOf([key(2)])))
  await post('/ns/rr/reply', event({ 'ce-to': before }))
  await post('/ns/rr/reply', event({ 'ce-to': mark() }))
  assert.deepEqual([(await asked).status, (await next).status], [200, 200])
  replies.apply([{ ...config, keys: [key(2)] }], [host])
  assert.equal((await post('/ns/rr/reply', event({ 'ce-to': before }))).status, 400)
})

test('who waits hears of the end of the RequestReply and of the engine', async () => {
  const { post, replies } = world()
  const asked = post('/ns/rr')
  replies.apply([], [host])
  assert.match(text(await asked), /was removed/)
  assert.equal((await post('/ns/rr')).status, 404)
  replies.apply([config], [host])
  const again = post('/ns/rr')
  replies[Symbol.dispose]()
  assert.equal((await again).status, 503)
})

test('methods and paths are checked as at the ingress of Brokers', async () => {
  const { post, replies } = world()
  const options = await post('/ns/rr', [], '', { method: 'OPTIONS' })
  assert.equal(options.status, 200)
  assert.equal(new Map(options.headers).get('WebHook-Allowed-Origin'), '*')
  const cases: readonly [string, Headers, number, string?][] = [
    ['/ns/rr', event(), 405, 'GET'],
    ['/', event(), 404],
    ['/ns', event(), 400],
    ['/ns/rr/other', event(), 400],
    ['/ns/rr/reply/more', event(), 400],
    ['/ns/rr', [['content-type', 'text/plain']], 400],
    ['/ns/none', [['content-type', 'text/plain']], 400],
    ['/ns/rr', [['content-type', 'application/cloudevents-batch+json']], 400],
    ['/ns/none', event(), 404],
    ['/ns/none/reply', event(), 404],
    ['/any/where', [['user-agent', 'kube-probe/1.33']], 200, 'GET'],
  ]
  for (const [target, headers, status, method = 'POST'] of cases)
    assert.equal(
      (await post(target, headers, '', { method })).status,
      status,
      `${method} ${target}`,
    )
  const head = { method: 'POST', target: '/ns/rr', host: 'other', names: [], values: [] }
  const elsewhere = { head: head as unknown as RequestHead, body: Buffer.alloc(0) }
  assert.equal(replies.handle(elsewhere), undefined)
})

test('a caller that goes away leaves its place to others', async () => {
  const { post, replies } = world()
  const listeners = new Set<() => void>()
  const caller: Caller = {
    onGone(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
  const asked = [1, 2].map(() => post('/ns/rr', event(), '', {}, caller))
  // As many as may wait.
  assert.equal((await post('/ns/rr')).status, 503)
  for (const leave of listeners) leave()
  for (const each of asked) assert.equal((await each).status, 499)
  assert.equal(listeners.size, 0, 'nothing is held of callers that were answered')
  const next = post('/ns/rr', event(), '', {}, caller)
  assert.equal(listeners.size, 1)
  replies[Symbol.dispose]()
  assert.equal((await next).status, 503)
  assert.equal(listeners.size, 0)
})

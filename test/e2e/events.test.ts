/**
 * Events end to end on one platform: Broker and Triggers to a Service that sleeps, answers, dead letters, channels, old
 * producers, programs in pods, `ebb event`, and crashes of the event engine and of the control plane in the middle.
 */
import assert from 'node:assert/strict'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { layoutOf } from '../../src/platform/config.ts'
import {
  configure,
  request as call,
  startEbb,
  until,
  withoutKubectl,
  type Ebb,
} from './platform.ts'

interface Taken {
  readonly path: string
  readonly id: string
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

/** A subscriber outside the cluster: takes what comes, refuses what it is told to. */
class Subscriber {
  readonly taken: Taken[] = []
  readonly refused = new Map<string, number>()
  readonly server: Server = createServer((incoming, response) => {
    let body = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    incoming.on('end', () => {
      const path = incoming.url ?? ''
      this.taken.push({
        path,
        id: String(incoming.headers['ce-id']),
        headers: incoming.headers,
        body,
      })
      const refused = this.refused.get(path)
      response.writeHead(refused ?? 202).end(refused === undefined ? '' : 'said by the subscriber')
    })
  })

  url(path: string): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`
  }

  at(path: string): readonly Taken[] {
    return this.taken.filter((each) => each.path === path)
  }

  one(path: string, id: string): Promise<Taken> {
    return until(`${id} comes to ${path}`, () => this.at(path).find((each) => each.id === id))
  }
}

const brokerHost = 'broker-ingress.knative-eventing.svc.cluster.local'
const event = (id: string, type: string): Record<string, string> => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-type': type,
  'ce-source': '/test',
  'content-type': 'application/json',
})

describe('events', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const subscriber = new Subscriber()

  const objects = () => `
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
spec: {delivery: {retry: 2, backoffPolicy: linear, backoffDelay: PT0.1S}}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: worker}
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/initial-scale: "0"}}
    spec:
      containers:
      - image: event-worker
        env: [{name: K_SINK, value: "http://${brokerHost}/default/default"}]
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: work}
spec:
  broker: default
  filter: {attributes: {type: ask}}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: worker}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: answers}
spec:
  broker: default
  filters: [{any: [{exact: {type: answer}}, {cesql: "type = 'other'"}]}]
  subscriber: {uri: "${subscriber.url('/answers')}"}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: strict}
spec:
  broker: default
  filters: [{prefix: {type: bad}}]
  subscriber: {uri: "${subscriber.url('/strict')}"}
  delivery: {deadLetterSink: {uri: "${subscriber.url('/dead')}"}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: lonely}
spec:
  broker: default
  filters: [{exact: {type: unwanted}}]
  subscriber: {uri: "${subscriber.url('/strict')}"}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: all}
spec: {broker: default, subscriber: {uri: "${subscriber.url('/all')}"}}
---
apiVersion: messaging.knative.dev/v1
kind: Channel
metadata: {name: in}
---
apiVersion: messaging.knative.dev/v1
kind: InMemoryChannel
metadata: {name: out}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: through}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: in}
  subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: worker}}
  reply: {ref: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: out}}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: behind}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: InMemoryChannel, name: out}
  subscriber: {uri: "${subscriber.url('/out')}"}
`

  before(async () => {
    await new Promise<void>((resolve) => subscriber.server.listen(0, '127.0.0.1', resolve))
    subscriber.refused.set('/strict', 400)
    ebb = await startEbb()
    await ebb.build('event-worker', 'event-worker')
    await configure(ebb, 'config-autoscaler', { 'allow-zero-initial-scale': 'true' })
    await ebb.ok('apply', '-f', await ebb.file('events.yaml', objects()))
    const kinds = ['ksvc', 'broker', 'trigger', 'channel', 'subscription']
    for (const kind of kinds)
      await ebb.ok('wait', '--for=condition=Ready', kind, '--all', '--timeout=60s')
  })
  after(async () => {
    subscriber.server.closeAllConnections()
    subscriber.server.close()
    await ebb[Symbol.asyncDispose]()
  })

  /** The answer's status; 0 = none came. */
  const post = (
    headers: Record<string, string>,
    body = '',
    { host = brokerHost, path = '/default/default' } = {},
  ): Promise<number> =>
    call(ebb.local, host, { path, method: 'POST', headers, body }).then(
      ({ status }) => status,
      () => 0,
    )

  test('a Trigger wakes a Service at zero, and its answer goes back into the Broker', async () => {
    assert.equal((await ebb.ok('get', 'pods', '-o', 'name')).trim(), '')
    assert.equal(await post(event('a1', 'ask'), '{"n":1}'), 202)
    const { headers, body } = await subscriber.one('/answers', 'a1-answer')
    assert.deepEqual(JSON.parse(body), { prefer: 'reply', got: '{"n":1}' })
    assert.equal(headers['ce-knativebrokerttl'], undefined)
    assert.equal(headers['ce-type'], 'answer')
  })

  test('what a subscriber refuses goes to the dead-letter sink with the reason', async () => {
    assert.equal(await post(event('d1', 'bad.one')), 202)
    const { headers } = await subscriber.one('/dead', 'd1')
    assert.equal(headers['ce-knativeerrordest'], subscriber.url('/strict'))
    assert.equal(headers['ce-knativeerrorcode'], '400')
    const data = Buffer.from(String(headers['ce-knativeerrordata']), 'base64').toString()
    assert.equal(data, 'said by the subscriber')
  })

  test('a Channel, its Subscription and where answers go', async () => {
    const host = 'in-kn-channel.default.svc.cluster.local'
    assert.equal(await post(event('c1', 'any'), '1', { host, path: '/' }), 202)
    const { body } = await subscriber.one('/out', 'c1-answer')
    assert.deepEqual(JSON.parse(body), { prefer: 'reply', got: '1' })
  })

  test('producers of all versions, structured and batched; what is no event is refused', async () => {
    const old = { 'ce-eventid': 'v01', 'ce-eventtype': 't', 'ce-source': '/test' }
    assert.equal(await post({ 'ce-cloudeventsversion': '0.1', ...old }), 202)
    for (const version of ['0.2', '0.3'])
      assert.equal(await post({ ...event(`v${version}`, 't'), 'ce-specversion': version }), 202)
    const one = (id: string) => ({ specversion: '1.0', id, source: '/test', type: 't', data: [1] })
    const json = (kind: string) => ({ 'content-type': `application/${kind}+json` })
    assert.equal(await post(json('cloudevents'), JSON.stringify(one('s1'))), 202)
    const batch = JSON.stringify([one('b1'), one('b2')])
    assert.equal(await post(json('cloudevents-batch'), batch), 202)
    for (const id of ['v01', 'v0.2', 'v0.3', 's1', 'b1', 'b2']) await subscriber.one('/all', id)
    assert.equal((await subscriber.one('/all', 'v0.3')).headers['ce-specversion'], '0.3')
    assert.equal((await subscriber.one('/all', 'v01')).headers['ce-specversion'], '1.0')
    assert.equal((await subscriber.one('/all', 's1')).body, '[1]')
    assert.equal(await post({ 'ce-specversion': '1.0' }), 400)
    const large = 'x'.repeat(3 << 20)
    assert.equal(await post(event('large', 't'), large), 202)
    assert.equal((await subscriber.one('/all', 'large')).body.length, large.length)
  })

  const withoutNames = process.getuid?.() !== 0 && 'names of the cluster in pods take root'
  test(
    'a program in a pod sends to the URL it finds in K_SINK',
    { skip: withoutNames },
    async () => {
      const { body } = await ebb.get('worker.default.localhost', '/emit')
      assert.equal(body, '202')
      await subscriber.one('/all', 'from-pod')
    },
  )

  test('ebb event: sends, follows through answers, sends again, settles dead letters', async () => {
    const ok = async (...args: readonly string[]) => {
      const ran = await ebb.ebb('event', ...args)
      assert.equal(ran.code, 0, ran.stderr)
      return ran.stdout
    }
    assert.equal((await ok('send', '--id', 'e1', '--type', 'ask', '-d', '{}')).trim(), 'e1')
    await subscriber.one('/answers', 'e1-answer')
    const traced = await until('the way is written', async () => {
      const text = await ok('trace', 'e1')
      return /Trigger answers: done/.test(text) && text
    })
    assert.match(traced, /Trigger work: done → http:\/\/worker\.default\.svc\.cluster\.local/)
    assert.match(traced, /attempt 1: 200/)
    assert.match(
      traced,
      /Trigger strict: refused, filters\[0\]\.prefix\.type wants "bad", the event has "ask"/,
    )
    assert.match(traced, /│ {2}└─ e1-answer {2}answer {2}from \/worker/)

    await ok('send', '--channel', 'in', '--id', 'e2', '--type', 'any')
    await subscriber.one('/out', 'e2-answer')
    assert.match(await ok('trace', 'e2'), /came to Channel default\/out/)

    const list = await ok('list', '--type', 'ask')
    assert.match(list, /^TIME +WHERE +ID +TYPE +SOURCE +SUBJECT\n(?:.*\n)*.* default#\d+ +e1 +ask /)
    assert.doesNotMatch(list, /e1-answer/)

    const before = subscriber.at('/replayed').length
    const to = ['--broker', 'default', '--id', 'e1', '--to', subscriber.url('/replayed')]
    assert.match(await ok('replay', ...to, '--dry-run'), /^1 event/)
    assert.equal(subscriber.at('/replayed').length, before)
    assert.match(await ok('replay', ...to, '--yes'), /^1 of 1/)
    assert.equal((await subscriber.one('/replayed', 'e1')).body, '{}')

    await ok('send', '--id', 'e3', '--type', 'unwanted')
    const letters = await until('a dead letter', async () => {
      const text = await ok('dead-letters')
      return text.includes('e3') && text
    })
    assert.match(letters, / e3 +unwanted +lonely +http.* answered 400 "said by the subscriber"/)
    assert.match(await ok('backlog'), /^default +lonely +0 .* of 16 GiB \(0 %\) +1$/m)
    subscriber.refused.delete('/strict')
    const redriven = await ok('dead-letters', 'redrive', '--all', '--yes', '--broker', 'default')
    assert.match(redriven, /^1 of 1/)
    assert.equal((await ok('dead-letters')).trim(), '')
    const mistaken = ['--trigger', 'lonly', '--broker', 'default'] as const
    const nobody = await ebb.ebb('event', 'dead-letters', 'discard', ...mistaken)
    assert.match(nobody.stderr, /no Trigger lonly of Broker default; there are .*lonely/)
    assert.equal(nobody.code, 1)
    assert.match(await ok('trace', 'e3'), /lonely: done[^]*attempt 1: 400[^]*sent again 1 .*: 202/)
    assert.deepEqual(await ok('list', '--id', 'e3', '-o', 'name'), 'e3\n')
    assert.match((await ebb.ebb('event', 'trace', 'e')).stderr, /\d ids begin with e: e1, /)
    const elsewhere = {
      name: 'of-kafka',
      annotations: { 'eventing.knative.dev/broker.class': 'Kafka' },
    }
    const other = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: elsewhere }
    await ebb.ok('create', '-f', await ebb.file('other.yaml', JSON.stringify(other)))
    assert.equal(await ok('list', '--id', 'e3', '-o', 'name'), 'e3\n')
    const unserved = await ebb.ebb('event', 'list', '--broker', 'of-kafka')
    assert.match(unserved.stderr, /Broker of-kafka is of class Kafka, so its events are not here/)
    await ebb.ok('delete', 'broker', 'of-kafka')
    assert.match(
      (await ebb.ebb('event', 'list', '-n', 'kube-system')).stderr,
      /no Broker and no Channel in namespace kube-system; there are in default/,
    )

    const raw = '/apis/eventing.knative.dev/v1/namespaces/default/brokers/default/events'
    assert.match(await ebb.ok('get', '--raw', raw), /"id":"e1"/)
    const refused = await ebb.kubectl('get', '--raw', raw, '--as', 'nobody')
    assert.match(refused.stderr, /cannot get resource "brokers\/events"/)
  })

  test('a RequestReply answers with the event that has its mark: not a forged one, not a late one', async () => {
    const late: (() => void)[] = []
    const responder = createServer((incoming, response) => {
      incoming.resume()
      const { 'ce-type': type = '', 'ce-id': id, 'ce-mark': mark = '' } = incoming.headers
      // One letter of the seal is another one.
      const forged = String(mark).replace(/.(?=..:0$)/, (letter) => (letter === 'A' ? 'B' : 'A'))
      const answer = () =>
        response
          .writeHead(200, {
            ...event(`${String(id)}-reply`, 'reply'),
            'ce-answers': type === 'rr.forged' ? forged : mark,
          })
          .end('"hello"')
      if (type === 'rr.late') late.push(answer)
      else answer()
    })
    await new Promise<void>((resolve) => responder.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = responder.address() as AddressInfo
      const objects = `
apiVersion: eventing.knative.dev/v1alpha1
kind: RequestReply
metadata: {name: rr}
spec:
  brokerRef: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}
  correlationAttribute: mark
  replyAttribute: answers
  timeout: PT2S
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: responder}
spec:
  broker: default
  filters: [{prefix: {type: rr.}}]
  subscriber: {uri: "http://127.0.0.1:${port}"}
`
      await ebb.ok('apply', '-f', await ebb.file('request-reply.yaml', objects))
      for (const name of ['requestreply/rr', 'trigger/responder'])
        await ebb.ok('wait', '--for=condition=Ready', name, '--timeout=60s')
      const { host, pathname } = new URL(
        await ebb.ok('get', 'rr', 'rr', '-o', 'jsonpath={.status.address.url}'),
      )
      const ask = (type: string) =>
        call(ebb.local, host, { method: 'POST', path: pathname, headers: event(type, type) })
      await until('an answer in time', async () => {
        const answer = await ask('rr.ask')
        if (answer.status !== 200) return false
        assert.equal(answer.headers['ce-id'], 'rr.ask-reply')
        assert.equal(answer.body, '"hello"')
        return true
      })
      const [forged, slow] = await Promise.all([ask('rr.forged'), ask('rr.late')])
      assert.deepEqual([forged.status, slow.status], [504, 504], forged.body)
      for (const answer of late) answer()
      const stray = { ...event('stray', 'reply'), 'ce-answers': 'rr.ask:AAAA:0' }
      const options = { method: 'POST', path: `${pathname}/reply`, headers: stray }
      assert.equal((await call(ebb.local, host, options)).status, 400)
      await subscriber.one('/all', 'rr.late-reply')
    } finally {
      responder.closeAllConnections()
      responder.close()
      await ebb.ok('delete', 'requestreply/rr', 'trigger/responder')
    }
    const keys = ['get', 'secret', 'request-reply-keys', '-n', 'knative-eventing', '-o', 'yaml']
    await until('its key is gone', async () => !(await ebb.ok(...keys)).includes('default.rr.key'))
  })

  test('nothing that was acknowledged is lost when the engine and the control plane are killed', async () => {
    const acknowledged: string[] = []
    let n = 0
    let stop = false
    const senders = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const id = `k${++n}`
        if ((await post(event(id, 't'))) === 202) acknowledged.push(id)
      }
    })
    const sent = (count: number) =>
      until(`${count} more`, () => acknowledged.length >= count, 60_000)
    await sent(50)
    process.kill(await enginePid(ebb), 'SIGKILL')
    await sent(acknowledged.length + 50)
    await ebb.kill()
    await sent(acknowledged.length + 50)
    await ebb.restart()
    await sent(acknowledged.length + 50)
    stop = true
    await Promise.all(senders)
    const missing = () => {
      const ids = new Set(subscriber.at('/all').map(({ id }) => id))
      return acknowledged.filter((id) => !ids.has(id))
    }
    await until('all are delivered', () => missing().length === 0, 60_000).catch(() => {})
    assert.deepEqual(missing(), [])
  })
})

/** Of the event engine, as it says itself. */
function enginePid({ dataDir }: Ebb): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: layoutOf(dataDir).eventSocket, path: '/' }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => resolve((JSON.parse(text) as { pid: number }).pid))
    })
    asking.on('error', reject)
    asking.end()
  })
}

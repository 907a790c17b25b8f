/**
 * Walk-throughs 17 and 20 to 26: CloudEvents of 2019, Broker and Trigger, the registry, Sequences, Parallel. They are
 * walked in the book's order on one platform, as each goes on with what the one before left. Consumers get CloudEvents
 * 1.0 where the book's programs speak 0.1 and its sources 0.3.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { until, type Answer, type Ebb } from '../platform.ts'
import { bookRegistry, manifest, waitReady, type Walkthrough } from './walkthrough.ts'

const display =
  'registry.cn-hangzhou.aliyuncs.com/knative-release/event_display:bf45b3eb1e7fc4cb63d6a5a6416cf696295484a7662e0cf9ccdf5c080542c21d'
const step = `${bookRegistry}/probable-summer:2656f39a7fcb6afd9fc79e7a4e215d14d651dc674f38020d1d18c6f04b220700`
const cronJobSource = 'cronjobsource.sources.eventing.knative.dev'

/** `curl` from inside the cluster: a POST to a name of the cluster. */
function post(
  ebb: Ebb,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answer> {
  const { host, pathname } = new URL(url)
  const { gatewayLocal } = JSON.parse(
    readFileSync(join(ebb.dataDir, 'endpoints.json'), 'utf8'),
  ) as { readonly gatewayLocal: string }
  const { hostname, port } = new URL(gatewayLocal)
  return new Promise((resolve, reject) => {
    const sending = httpRequest(
      { host: hostname, port, path: pathname, method: 'POST', headers: { ...headers, host } },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        )
      },
    )
    sending.on('error', reject)
    sending.end(body)
  })
}

const json = { 'content-type': 'application/json' }
const logOf = async (ebb: Ebb, service: string): Promise<string> => {
  const selector = ['-l', `serving.knative.dev/service=${service}`]
  return (await ebb.kubectl('logs', ...selector, '-c', 'user-container', '--tail=-1')).stdout
}
const shown = (ebb: Ebb, service: string, what: string | RegExp): Promise<string> =>
  until(
    `${service} shows ${what}`,
    async () => {
      const text = await logOf(ebb, service)
      return (typeof what === 'string' ? text.includes(what) : what.test(text)) && text
    },
    60_000,
  )
const ready = (ebb: Ebb, ...object: readonly string[]): Promise<string> =>
  ebb.ok('wait', '--for=condition=Ready', ...object, '--timeout=60s')
const apply = (ebb: Ebb, folder: string, ...files: readonly string[]): Promise<string> =>
  ebb.ok('apply', ...files.flatMap((file) => ['-f', manifest(folder, file)]))
/** Nobody likes to wait for the minute. */
const hurryUp = (ebb: Ebb, source: string): Promise<string> =>
  ebb.ok(
    'patch',
    cronJobSource,
    source,
    '--type=merge',
    '-p',
    '{"spec":{"schedule":"* * * * * *"}}',
  )
const handledBy = (...steps: readonly number[]): string =>
  ['Hello world!', ...steps.map((each) => `Handled by ${each}`)].join(' - ')

/** Each of the forms that 17 speaks of: binary with its header names, and structured. */
function forms(id: string): readonly [Record<string, string>, string][] {
  const source = 'http://localhost:8080/'
  const type = 'com.cloudevents.readme.sent'
  const data = { hello: 'world' }
  const body = JSON.stringify(data)
  const structured = { 'content-type': 'application/cloudevents+json' }
  const old = { 'CE-EventType': type, 'CE-EventID': `${id}-0.1`, 'CE-Source': source }
  const attributes01 = {
    eventType: type,
    eventID: `${id}-s0.1`,
    source,
    contentType: json['content-type'],
  }
  return [
    [{ ...json, 'CE-CloudEventsVersion': '0.1', ...old }, body],
    [structured, JSON.stringify({ cloudEventsVersion: '0.1', ...attributes01, data })],
    ...['0.2', '0.3', '1.0'].flatMap((version): [Record<string, string>, string][] => [
      [
        {
          ...json,
          'ce-specversion': version,
          'ce-type': type,
          'ce-source': source,
          'ce-id': `${id}-${version}`,
        },
        body,
      ],
      [
        structured,
        JSON.stringify({ specversion: version, type, source, id: `${id}-s${version}`, data }),
      ],
    ]),
  ]
}

export const cloudEventsSdk: Walkthrough = {
  number: '17',
  title: 'CloudEvents 0.1 to 1.0, binary and structured, to everything that takes events',
  images: { [display]: 'event-display-2019', [step]: 'sequence-step' },
  async walk(ebb) {
    await apply(ebb, '20-broker-trigger-filter', 'broker.yaml', 'my-service.composed.yaml')
    await ebb.ok('apply', '-f', await ebb.file('17.yaml', inlets))
    await waitReady(ebb, 'my-service')
    for (const object of ['broker/default', 'channel/c', 'sequence.flows/s', 'parallel.flows/p'])
      await ready(ebb, object)
    // The sender of the book, to the receiver.
    const [headers, body] = forms('ABC-123')[2] ?? [{}, '']
    const taken = await post(ebb, 'http://my-service.default.svc.cluster.local/', headers, body)
    assert.deepEqual([taken.status, taken.body], [202, ''])
    const text = await shown(ebb, 'my-service', 'ID: ABC-123-0.2')
    assert.match(
      text,
      /SpecVersion: 0\.2\n {2}Type: com\.cloudevents\.readme\.sent\n {2}Source: http:\/\/localhost:8080\/\n/,
    )
    assert.match(text, /"hello": "world"/)

    const addresses = {
      broker: 'http://default-broker.default.svc.cluster.local/',
      channel: 'http://c-kn-channel.default.svc.cluster.local/',
      sequence: 'http://s-kn-sequence-0-kn-channel.default.svc.cluster.local/',
      parallel: 'http://p-kn-parallel-kn-channel.default.svc.cluster.local/',
    }
    for (const [name, url] of Object.entries(addresses)) {
      for (const [headers, body] of forms(name)) {
        const { status, body: said } = await post(ebb, url, headers, body)
        assert.equal(status, 202, `${name} ${JSON.stringify(headers)} ${body}: ${said}`)
      }
      for (const missing of ['ce-specversion', 'ce-type', 'ce-source', 'ce-id']) {
        const { [missing]: _, ...rest } = forms(name)[2]?.[0] ?? {}
        const { status, body: said } = await post(ebb, url, rest, '{}')
        assert.equal(status, 400, `${name} without ${missing}`)
        assert.ok(said.includes(missing.slice(3)), `${name} without ${missing}: ${said}`)
      }
    }
    for (const name of Object.keys(addresses))
      for (const version of ['0.1', 's0.1', '0.2', 's0.2', '0.3', 's0.3', '1.0', 's1.0'])
        await shown(ebb, 'my-service', `ID: ${name}-${version}\n`)
    await ebb.ok('delete', '-f', join(ebb.dataDir, '17.yaml'))
  },
}

const subscriber = 'ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: my-service}'
const inlets = `
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec: {broker: default, subscriber: {${subscriber}}}
---
apiVersion: messaging.knative.dev/v1
kind: Channel
metadata: {name: c}
---
apiVersion: messaging.knative.dev/v1
kind: Subscription
metadata: {name: c}
spec:
  channel: {apiVersion: messaging.knative.dev/v1, kind: Channel, name: c}
  subscriber: {${subscriber}}
---
apiVersion: flows.knative.dev/v1
kind: Sequence
metadata: {name: s}
spec: {steps: [{${subscriber}}]}
---
apiVersion: flows.knative.dev/v1
kind: Parallel
metadata: {name: p}
spec: {branches: [{subscriber: {${subscriber}}}]}
`

export const brokerTrigger: Walkthrough = {
  number: '20',
  title: 'a Trigger filters on type and an extension',
  images: { [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '20-broker-trigger-filter'
    await apply(ebb, folder, 'broker.yaml')
    await apply(ebb, folder, 'my-service.composed.yaml', 'trigger.yaml')
    await ready(ebb, 'trigger/my-service-trigger')
    const table = await ebb.ok('get', 'broker,trigger')
    for (const column of ['NAME', 'READY', 'REASON', 'URL', 'AGE', 'BROKER', 'SUBSCRIBER_URI'])
      assert.match(table, new RegExp(`\\b${column}\\b`))
    const foo = {
      ...json,
      'ce-specversion': '0.3',
      'ce-type': 'dev.knative.foo.bar',
      'ce-source': 'test',
    }
    const broker = 'http://default-broker.default.svc.cluster.local/'
    const send = async (id: string, more: Readonly<Record<string, string>>) => {
      const answer = await post(ebb, broker, { ...foo, 'ce-id': id, ...more }, '{"n":1}')
      assert.deepEqual([answer.status, answer.body], [202, ''])
    }
    await send('other-type', {
      'ce-type': 'dev.knative.foo',
      'ce-myextension': 'my-extension-value',
    })
    await send('other-value', { 'ce-myextension': 'another' })
    await send('without', {})
    await send('wanted', { 'ce-myextension': 'my-extension-value' })
    const text = await shown(ebb, 'my-service', 'ID: wanted\n')
    assert.match(text, /SpecVersion: 0\.3\n/)
    assert.match(text, / {4}myextension: my-extension-value\n/)
    assert.doesNotMatch(text, /ID: (other-type|other-value|without)\n/)
    assert.match(
      (await ebb.ebb('event', 'trace', 'without')).stdout,
      /my-service-trigger: refused, filter\.attributes\.myextension wants "my-extension-value", the event has none/,
    )

    // An empty value wants the attribute, whatever it says; several Triggers get a copy each.
    const second = (spec: string, name = 'second') =>
      `{apiVersion: eventing.knative.dev/v1alpha1, kind: Trigger, metadata: {name: ${name}}, spec: {${spec}, subscriber: {${subscriber}}}}`
    await ebb.ok(
      'apply',
      '-f',
      await ebb.file('second.yaml', second('filter: {attributes: {myextension: ""}}')),
    )
    await ready(ebb, 'trigger/second')
    await send('absent', {})
    await send('both', { 'ce-myextension': 'my-extension-value' })
    const twice = /ID: both\n[^]*ID: both\n/
    assert.doesNotMatch(await shown(ebb, 'my-service', twice), /ID: absent\n/)

    const refused = async (spec: string, message: RegExp, name?: string) => {
      const file = await ebb.file('refused.yaml', second(spec, name))
      assert.match((await ebb.kubectl('apply', '-f', file)).stderr, message)
    }
    await refused('broker: another', /immutable/i)
    await refused('filter: {attributes: {My-Ext: a}}', /My-Ext/)
    await refused(
      'filter: {sourceAndType: {type: a}, attributes: {type: a}}',
      /expected exactly one/,
      'both',
    )

    const lost = `
{apiVersion: eventing.knative.dev/v1alpha1, kind: Trigger, metadata: {name: lost}, spec: {broker: missing, subscriber: {${subscriber}}}}
---
apiVersion: eventing.knative.dev/v1alpha1
kind: Trigger
metadata:
  name: dependent
  annotations: {knative.dev/dependency: '{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "later"}'}
spec: {subscriber: {${subscriber}}}
`
    await ebb.ok('apply', '-f', await ebb.file('lost.yaml', lost))
    const condition = async (name: string, type: string) =>
      await ebb.ok(
        'get',
        'trigger',
        name,
        '-o',
        `jsonpath={.status.conditions[?(@.type=="${type}")]['status','reason','message']}`,
      )
    await until('the Broker is missing', async () =>
      /DoesNotExist.*does not exist/.test(await condition('lost', 'BrokerReady')),
    )
    await until('the dependency is missing', async () =>
      (await condition('dependent', 'DependencyReady')).startsWith('False'),
    )
    await ebb.ok('delete', 'trigger', 'second', 'lost', 'dependent')
  },
}

export const registry: Walkthrough = {
  number: '21',
  title: 'the registry of event types',
  images: {},
  async walk(ebb) {
    const folder = '21-event-registry'
    await apply(
      ebb,
      folder,
      'eventtype-github.yaml',
      'github-source.yaml',
      'eventtype-bitbucket.yaml',
    )
    const created = await ebb.kubectl('create', '-f', manifest(folder, 'generated-eventtypes.yaml'))
    assert.match(created.stderr, /unknown field "metadata\.owner"/)
    assert.match(created.stdout, /dev\.knative\.source\.github\.push-\w{5} created/)
    assert.match(created.stdout, /dev\.knative\.source\.github\.pullrequest-\w{5} created/)
    const table = () => ebb.ok('get', 'eventtypes', '-n', 'default')
    const rows = await until('the types are looked at', async () => {
      const text = await table()
      return (text.match(/ True /g)?.length ?? 0) === 3 && / False /.test(text) && text
    })
    for (const column of ['NAME', 'TYPE', 'SOURCE', 'DESCRIPTION', 'READY', 'REASON'])
      assert.match(rows, new RegExp(`\\b${column}\\b`))
    assert.match(
      rows,
      /org\.bitbucket\.repofork +org\.bitbucket\.repo:fork +bitbucket\.org +dev .*BitBucket fork +False +\w*(NotExist|NotReady)/,
    )
    assert.match(
      rows,
      /com\.github\.pullrequest +com\.github\.pull_request +github\.com .*default .*GitHub pull request +True/,
    )
    assert.match(
      rows,
      /github\.push-\w{5} +dev\.knative\.source\.github\.push +github\.com +default .*True/,
    )
    // Schemas have no column of today's version.
    assert.match(
      await ebb.ok('get', 'eventtypes.v1beta2.eventing.knative.dev'),
      /\bSCHEMA\b[^]*com\.github\.pullrequest +\S+ +github\.com +\/\/github\.com\/schemas\/pull_request /,
    )
    // It turns True with its Broker.
    await ebb.ok(
      'create',
      '-f',
      await ebb.file(
        'dev.yaml',
        '{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: dev}}',
      ),
    )
    await ready(ebb, 'eventtype/org.bitbucket.repofork')
    await ebb.ok('delete', 'broker', 'dev')
    const without = await ebb.file(
      'without.yaml',
      '{apiVersion: eventing.knative.dev/v1alpha1, kind: EventType, metadata: {name: w}, spec: {broker: default}}',
    )
    assert.match((await ebb.kubectl('apply', '-f', without)).stderr, /missing field\(s\): .*type/)

    // The Trigger wants exactly that type of exactly that source.
    await apply(ebb, folder, 'trigger.yaml')
    await ready(ebb, 'trigger/my-service-trigger')
    const send = async (id: string, source: string) =>
      await ebb.ebb(
        'event',
        'send',
        '--id',
        id,
        '--type',
        'dev.knative.source.github.push',
        '--source',
        source,
        '-d',
        '{}',
      )
    await send('elsewhere', 'https://github.com/a/b')
    await send('pushed', 'github.com')
    assert.doesNotMatch(await shown(ebb, 'my-service', 'ID: pushed\n'), /ID: elsewhere\n/)
    await ebb.ok('delete', 'eventtypes', '--all')
    await ebb.ok('delete', 'trigger', 'my-service-trigger')
    await ebb.ok('delete', 'broker', 'default')
    await ebb.ok('delete', 'ksvc', 'my-service')
  },
}

export const sequenceDirect: Walkthrough = {
  number: '22',
  title: 'a Sequence of three services',
  images: { [step]: 'sequence-step' },
  async walk(ebb) {
    const folder = '22-sequence-direct'
    await apply(ebb, folder, 'services.yaml', 'sequence.yaml', 'cronjob-source.yaml')
    for (const name of ['first', 'second', 'third']) await waitReady(ebb, name)
    await ready(ebb, 'sequence.messaging.knative.dev/sequence')
    await ready(ebb, `${cronJobSource}/cronjob-source`)
    await hurryUp(ebb, 'cronjob-source')
    const third = await shown(ebb, 'third', `Message:${handledBy(0, 1)}}`)
    const first = await logOf(ebb, 'first')
    assert.match(
      first,
      /type: dev\.knative\.cronjob\.event\n {2}source: \/apis\/v1\/namespaces\/default\/cronjobsources\/cronjob-source\n/,
    )
    assert.match(first, /Got Data: &\{Sequence:0 Message:Hello world!\}/)
    const second = await logOf(ebb, 'second')
    assert.match(second, /type: samples\.http\.mod3\n {2}source: \/transformer\/0\n/)
    assert.ok(second.includes(`Message:${handledBy(0)}}`))
    assert.match(third, /source: \/transformer\/1\n/)
    // The same id all the way: it is found at all three.
    const [, id = 'none'] = / {2}id: (\S+)/.exec(third) ?? []
    assert.ok(first.includes(id) && second.includes(id))
    const pod = (
      await ebb.ok('get', 'pods', '-l', 'serving.knative.dev/service=first', '-o', 'name')
    ).trim()
    assert.match(await ebb.ok('logs', pod, 'user-container'), /Got Event Context/)
    const made = await ebb.ok('get', 'inmemorychannels,subscriptions', '-o', 'name')
    for (const kind of ['inmemorychannel', 'subscription'])
      for (const n of [0, 1, 2])
        assert.ok(made.includes(`${kind}.messaging.knative.dev/sequence-kn-sequence-${n}`), made)
    // One tree, through three logs.
    const way = (await ebb.ebb('event', 'trace', id)).stdout
    assert.match(
      way,
      /Channel default\/sequence-kn-sequence-0 [^]*Channel default\/sequence-kn-sequence-1 [^]* {6}came to Channel default\/sequence-kn-sequence-2 /,
    )

    await apply(ebb, folder, 'sequence-definition.sample.yaml')
    const missing = '{.status.subscriptionStatuses[0].ready.message}'
    await until('the missing service is named', async () =>
      /"test" not found/.test(
        await ebb.ok('get', 'sequence.flows/test', '-o', `jsonpath=${missing}`),
      ),
    )
    await ebb.ok('delete', '-f', manifest(folder, 'sequence-definition.sample.yaml'))
  },
}

export const sequenceReply: Walkthrough = {
  number: '23',
  title: 'the result of a Sequence goes to a service',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '23-sequence-reply'
    await apply(ebb, folder, 'services.yaml', 'event-display.yaml', 'sequence.yaml')
    await waitReady(ebb, 'event-display')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2))
    assert.match(text, /CloudEvent: valid ✅/)
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/2\n/)
    assert.match(text, /ContentType: application\/json\n/)
    assert.match(text, /Host: event-display\.default\.svc\.cluster\.local\n/)
    assert.match(text, /"id": 0,\n/)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok('delete', 'sequence.messaging.knative.dev/sequence')
  },
}

export const sequenceCascade: Walkthrough = {
  number: '24',
  title: 'a Sequence that replies to a Sequence',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '24-sequence-cascade'
    await apply(ebb, folder, 'services.yaml', 'first-sequence.yaml', 'second-sequence.yaml')
    const mistaken = await ebb.kubectl('apply', '-f', manifest(folder, 'event-display.yaml'))
    assert.notEqual(mistaken.code, 0)
    assert.match(mistaken.stderr, /containerers/)
    await apply(ebb, folder, 'event-display.corrected.yaml')
    await ready(ebb, 'sequence.messaging.knative.dev/first-sequence')
    await ready(ebb, 'sequence.messaging.knative.dev/second-sequence')
    await apply(ebb, folder, 'cronjob-source.yaml')
    await hurryUp(ebb, 'cronjob-source')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2, 3, 4, 5))
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/5\n/)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok(
      'delete',
      '-f',
      manifest(folder, 'first-sequence.yaml'),
      '-f',
      manifest(folder, 'second-sequence.yaml'),
    )
    await ebb.ok('delete', 'ksvc', 'fourth', 'fifth', 'sixth', 'event-display')
  },
}

export const sequenceBroker: Walkthrough = {
  number: '25',
  title: 'a Sequence between Broker and Triggers',
  images: { [step]: 'sequence-step', [display]: 'event-display-2019' },
  async walk(ebb) {
    const folder = '25-sequence-broker-trigger'
    await apply(ebb, folder, 'services.yaml', 'sequence.yaml', 'cronjob-source.yaml')
    const isReady = '{.status.conditions[?(@.type=="Ready")].status}'
    await until(
      'the source misses its Broker',
      async () =>
        (await ebb.ok('get', cronJobSource, 'cronjob-source', '-o', `jsonpath=${isReady}`)) ===
        'False',
    )
    await ebb.ok('label', 'namespace', 'default', 'knative-eventing-injection=enabled')
    await apply(ebb, folder, 'sequence-trigger.yaml', 'display-trigger.yaml')
    await ready(ebb, `${cronJobSource}/cronjob-source`)
    await ready(ebb, 'trigger', '--all')
    await hurryUp(ebb, 'cronjob-source')
    const text = await shown(ebb, 'event-display', handledBy(0, 1, 2))
    assert.match(text, /Type: samples\.http\.mod3\n {2}Source: \/transformer\/2\n/)
    assert.match(text, / {4}knativearrivaltime: /)
    assert.match(text, /DataContentType: application\/json\n/)
    assert.doesNotMatch(text, /dev\.knative\.cronjob\.event/)
    assert.doesNotMatch(text, /Handled by 2 - /)
    await ebb.ok('delete', cronJobSource, 'cronjob-source')
    await ebb.ok('delete', 'sequence.messaging.knative.dev/sequence')
    await ebb.ok('delete', 'ksvc', 'first', 'second', 'third', 'event-display')
  },
}

export const parallel: Walkthrough = {
  number: '26',
  title: 'a Parallel for even and odd minutes',
  images: {
    'villardl/switcher-nodejs:0.1': 'even-odd',
    'villardl/transformer-nodejs:0.1': 'even-odd',
    [display]: 'event-display-2019',
  },
  async walk(ebb) {
    const folder = '26-parallel-even-odd'
    const files = ['services.yaml', 'parallel.yaml', 'cronjob-source.yaml'].flatMap((file) => [
      '-f',
      manifest(folder, file),
    ])
    const { code, stderr } = await ebb.kubectl('apply', ...files)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /cases/)
    // As printed, its subscribers are not there; it says which.
    const status = () =>
      ebb.ok('get', 'parallel.messaging.knative.dev/me-odd-even-parallel', '-o', 'yaml')
    await until('the missing services are named', async () =>
      /me-even-transformer" not found[^]*me-odd-transformer" not found/.test(await status()),
    )
    await apply(ebb, folder, 'services.corrected.yaml')
    await ready(ebb, 'parallel.messaging.knative.dev/me-odd-even-parallel')
    await ready(ebb, `${cronJobSource}/me-cronjob-source`)
    const made = await ebb.ok('get', 'inmemorychannels,subscriptions', '-o', 'name')
    assert.equal(made.match(/inmemorychannel\S+parallel/g)?.length, 3, made)
    assert.equal(made.match(/subscription\S+parallel/g)?.length, 4, made)

    // What the source sends in an even and in an odd minute.
    const front = 'http://me-odd-even-parallel-kn-parallel-kn-channel.default.svc.cluster.local/'
    const event = {
      ...json,
      'ce-specversion': '0.3',
      'ce-type': 'dev.knative.cronjob.event',
      'ce-source': '/apis/v1/namespaces/default/cronjobsources/me-cronjob-source',
    }
    for (const minute of ['56', '57']) {
      const time = `2019-11-03T20:${minute}:00Z`
      const headers = { ...event, 'ce-id': `m${minute}`, 'ce-time': time }
      assert.equal((await post(ebb, front, headers, '{"message": "Even or odd?"}')).status, 202)
    }
    await shown(ebb, 'me-event-display', 'ID: m56\n')
    const text = await shown(ebb, 'me-event-display', 'ID: m57\n')
    const message = (id: string) =>
      new RegExp(`ID: ${id}\\n[^☁]*"message": "([^"]+)"`).exec(text)?.[1]
    assert.deepEqual([message('m56'), message('m57')], ['we are even!', 'this is odd!'])
    assert.match(
      text,
      /Type: dev\.knative\.cronjob\.event\n {2}Source: \S+\/cronjobsources\/me-cronjob-source\n/,
    )
    assert.match(text, /DataContentType: application\/json; charset=utf-8\n/)
    // One branch each: the tree says which filter let it pass.
    const way = (await ebb.ebb('event', 'trace', 'm57')).stdout
    assert.equal(way.match(/came to Channel/g)?.length, 2, way)

    // The same with today's field, in place; and what the source itself sends.
    await apply(ebb, folder, 'parallel.branches.yaml')
    await hurryUp(ebb, 'me-cronjob-source')
    await shown(ebb, 'me-event-display', /Time: 20(?!19)/)
    await ebb.ok('delete', cronJobSource, 'me-cronjob-source')
  },
}

/**
 * Walk-throughs 17, 20 and 21: CloudEvents of 2019, Broker and Trigger, the registry. They are walked in the book's order on
 * one platform (flows.ts follows), as each goes on with what the one before left. Consumers get CloudEvents 1.0 where the book's programs speak 0.1 and its sources 0.3.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { until } from '../platform.ts'
import { apply, display, json, post, ready, shown, step } from './event-display.ts'
import { manifest, waitReady, type Walkthrough } from './walkthrough.ts'

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

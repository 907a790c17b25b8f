/**
 * Sources of events on one platform: walk-throughs 18 and 19 of the book with their manifests as they are, programs that
 * learn their sink by their environment, Jobs for events, and ticks over a crash of the control plane.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bookDir, request, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const book = (folder: string, file: string): string => join(bookDir, folder, file)
const display18 = 'registry.test/samples/event-display:latest'

describe('sources of events', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const apply = (text: string) =>
    ebb.file('objects.yaml', text).then((f) => ebb.ok('apply', '-f', f))
  const isReady = async (...object: readonly string[]) => {
    const path = '{.status.conditions[?(@.type=="Ready")].status}'
    const { stdout } = await ebb.kubectl('get', ...object, '-o', `jsonpath=${path}`)
    return stdout === 'True'
  }
  const ready = (...object: readonly string[]) =>
    until(`${object.join(' ')} is ready`, () => isReady(...object), 60_000)

  before(async () => {
    ebb = await startEbb()
    await ebb.build(
      'event-display',
      'gcr.io/knative-releases/knative.dev/eventing/cmd/event_display',
    )
    await ebb.build('event-display', display18)
    await ebb.build('event-sender', 'event-sender')
    await ebb.build('exits', 'busybox')
  })
  after(() => ebb[Symbol.asyncDispose]())

  const log = async (...pod: readonly string[]) => {
    const { stdout } = await ebb.kubectl('logs', '--tail=-1', ...pod)
    return stdout
  }

  test('19: a PingSource to a Deployment behind a Service', async () => {
    await ebb.ok('apply', '-f', book('19-pingsource-display', 'ping-source.yaml'))
    // The sink is not there yet.
    await until('the source misses its sink', async () =>
      (await ebb.ok('get', 'pingsource', 'test-ping')).includes('NotFound'),
    )
    await ebb.ok('apply', '-f', book('19-pingsource-display', 'event-display.yaml'))
    await ready('pingsource', 'test-ping')
    await ebb.ok('rollout', 'status', 'deployment/event-display', '--timeout=60s')
    // Every second, as nobody likes to wait for the minute.
    const patch = '{"spec":{"schedule":"* * * * * *"}}'
    await ebb.ok('patch', 'pingsource', 'test-ping', '--type=merge', '-p', patch)
    const shown = () => log('deployment/event-display')
    const text = await until(
      'three events',
      async () => {
        const found = await shown()
        return found.split('cloudevents.Event').length > 3 ? found : undefined
      },
      60_000,
    )
    assert.match(text, /specversion: 1\.0\n {2}type: dev\.knative\.sources\.ping\n/)
    assert.match(text, /source: \/apis\/v1\/namespaces\/default\/pingsources\/test-ping\n/)
    assert.match(text, /datacontenttype: application\/json\n/)
    assert.match(text, /"message": "Hello geek!"/)

    // Ticks go on without a control plane, and none comes twice when it is back.
    const before = (await shown()).split('cloudevents.Event').length
    await ebb.kill()
    await ebb.restart()
    await ready('pingsource', 'test-ping')
    const afterwards = await until(
      'events go on',
      async () => {
        const found = await shown()
        return found.split('cloudevents.Event').length > before + 3 ? found : undefined
      },
      60_000,
    )
    const times = [...afterwards.matchAll(/ {2}time: (\S+)/g)].map(([, time]) => time)
    const ids = [...afterwards.matchAll(/ {2}id: (\S+)/g)].map(([, id]) => id)
    assert.equal(new Set(ids).size, ids.length)
    // The time of an event is that of its tick.
    assert.equal(new Set(times).size, times.length, times.join(' '))
    // Programs find the Service as well: port 80 of its name, which is 8080 of its pods.
    await apply(`
apiVersion: sources.knative.dev/v1
kind: ContainerSource
metadata: {name: plain}
spec:
  sink: {ref: {apiVersion: v1, kind: Service, name: event-display}}
  template: {spec: {containers: [{name: sender, image: event-sender, args: [--period=1]}]}}
`)
    await until('what a pod sends', async () => (await shown()).includes('type: sent'), 60_000)
    // What nobody takes is said.
    const nobody = 'http://job-sink.knative-eventing.svc.cluster.local/default/nobody'
    const lost = `{"spec":{"sink":{"ref":null,"uri":"${nobody}"}}}`
    await ebb.ok('patch', 'pingsource', 'test-ping', '--type=merge', '-p', lost)
    await until('lost events are told', async () =>
      /EventLost .*not delivered: .*nobody answered 400/.test(await ebb.ok('get', 'events')),
    )
    await ebb.ok('delete', 'containersource', 'plain')
    await ebb.ok('delete', '-f', book('19-pingsource-display', 'ping-source.yaml'))
    await ebb.ok('delete', '-f', book('19-pingsource-display', 'event-display.yaml'))
  })

  test('18: events of Kubernetes through a Broker', async () => {
    const folder = '18-eventing-hello-world'
    const source = 'apiserversource.sources.eventing.knative.dev/testevents'
    const { stderr } = await ebb.kubectl('apply', '-f', book(folder, 'k8s-events.yaml'))
    assert.match(stderr, /deprecated; use sources\.knative\.dev\/v1 ApiServerSource/)
    const placeholder = await ebb.kubectl('apply', '-f', book(folder, 'service.yaml'))
    assert.notEqual(placeholder.code, 0)
    const service = readFileSync(book(folder, 'service.yaml'), 'utf8')
    await apply(service.replace('{yourrepo}/{yournamespace}/event-display:latest', display18))
    await ebb.ok('apply', '-f', book(folder, 'trigger.yaml'))
    await ebb.ok('label', 'namespace', 'default', 'knative-eventing-injection=enabled')
    await ready('broker', 'default')
    // Without the right to see events it is not ready, and says which right.
    const message = '{.status.conditions[?(@.type=="SufficientPermissions")].message}'
    await until('the source misses a right', async () =>
      (await ebb.ok('get', source, '-o', `jsonpath=${message}`)).includes(
        'User system:serviceaccount:default:events-sa cannot get, list, watch resource "events" in API group "" in Namespace "default"',
      ),
    )
    await ebb.ok('apply', '-f', book(folder, 'serviceaccount.yaml'))
    await ready(source)
    await ready('trigger', 'testevents-trigger')
    await ebb.ok('run', 'busybox', '--image=busybox', '--restart=Never', '--', 'ls')
    const selector = ['-l', 'serving.knative.dev/service=event-display', '-c', 'user-container']
    const text = await until(
      'the start of busybox is shown',
      async () => {
        const found = await log(...selector)
        return /"reason": "Started"/.test(found) && found.includes('events/busybox.')
          ? found
          : undefined
      },
      90_000,
    )
    assert.match(text, /^Hello World: $/m)
    assert.match(text, /type: dev\.knative\.apiserver\.resource\.add\n/)
    assert.match(text, /source: https:\/\/[\d.]+:443\n/)
    assert.match(text, /subject: \/apis\/v1\/namespaces\/default\/events\/busybox\.[0-9a-f]{16}\n/)
    assert.match(text, / {2}knativearrivaltime: /)
    assert.match(text, /"fieldPath": "spec\.containers\{busybox\}"/)
    assert.match(text, /datacontenttype: application\/json\n/)
    assert.match(text, /"involvedObject": \{[^}]*"kind": "Pod"[^}]*"name": "busybox"/)
    assert.match(text, /"message": "Started container/)
    assert.match(text, /"component": "kubelet"/)
    assert.match(text, /"type": "Normal"/)
    // Its stand-in ends with an error, whatever it is told.
    await until('busybox is over', async () => / Error /.test(await ebb.ok('get', 'pods')))
    await ebb.ok('delete', 'pod', 'busybox')
    await ebb.ok('delete', source)
  })

  test('a Flow and a channel of 2018 carry events', async () => {
    const subscriber = 'event-display.default.svc.cluster.local'
    await apply(`
apiVersion: flows.knative.dev/v1alpha1
kind: Flow
metadata: {name: k8s-event-flow}
spec:
  serviceAccountName: events-sa
  trigger: {eventType: dev.knative.k8s.event, resource: k8sevents/dev.knative.k8s.event, service: k8sevents}
  action: {target: {apiVersion: serving.knative.dev/v1alpha1, kind: Route, name: event-display}}
---
apiVersion: channels.knative.dev/v1alpha1
kind: Channel
metadata: {name: aloha}
spec: {clusterBus: stub}
---
apiVersion: channels.knative.dev/v1alpha1
kind: Subscription
metadata: {name: aloha}
spec: {channel: aloha, subscriber: ${subscriber}}
`)
    await ready('flow', 'k8s-event-flow')
    await ready('subscriptions.channels.knative.dev', 'aloha')
    await apply(`
apiVersion: v1
kind: Event
metadata: {name: made-by-hand}
involvedObject: {apiVersion: v1, kind: Pod, namespace: default, name: nobody}
reason: Told
message: by hand
`)
    const headers = { 'ce-specversion': '1.0', 'ce-source': '/test', 'ce-id': '1' }
    const sent = await request(ebb.local, 'aloha-channel.default.svc.cluster.local', {
      method: 'POST',
      path: '/',
      headers: { ...headers, 'ce-type': 'hello.of.2018' },
    })
    assert.equal(sent.status, 202, sent.body)
    const selector = ['-l', 'serving.knative.dev/service=event-display', '-c', 'user-container']
    const text = await until(
      'both are shown',
      async () => {
        const found = await log(...selector)
        return found.includes('made-by-hand') && found.includes('hello.of.2018') ? found : undefined
      },
      60_000,
    )
    assert.match(text, / {2}type: dev\.knative\.k8s\.event\n/)
    assert.match(text, / {2}source: \/apis\/v1\/namespaces\/default\/pods\/nobody\n/)
    await ebb.ok('delete', 'flow', 'k8s-event-flow')
    await ebb.ok('delete', 'channels.channels.knative.dev', 'aloha')
    await ebb.ok('delete', 'subscriptions.channels.knative.dev', 'aloha')
  })

  test('programs know their sink from the beginning; a transform on the way', async () => {
    await apply(`
apiVersion: eventing.knative.dev/v1alpha1
kind: EventTransform
metadata: {name: renamed}
spec:
  sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}
  jsonata: {expression: '$merge([$, {"type": "renamed", "data": {"doubled": data.n * 2}}])'}
---
apiVersion: sources.knative.dev/v1
kind: ContainerSource
metadata: {name: sender}
spec:
  ceOverrides: {extensions: {colour: blue}}
  sink: {ref: {apiVersion: eventing.knative.dev/v1alpha1, kind: EventTransform, name: renamed}}
  template: {spec: {containers: [{name: sender, image: event-sender}]}}
`)
    await ready('eventtransform', 'renamed')
    await ready('containersource', 'sender')
    const selector = ['-l', 'serving.knative.dev/service=event-display', '-c', 'user-container']
    const text = await until(
      'what was sent comes out renamed',
      async () => {
        const found = await log(...selector)
        return found.includes('type: renamed') ? found : undefined
      },
      60_000,
    )
    assert.match(text, /"doubled": 2/)
    assert.match(text, /colour: blue/)
    // Its pods were never made without: one generation of the Deployment.
    const path = 'jsonpath={.metadata.generation}'
    assert.equal(await ebb.ok('get', 'deployment', 'sender-deployment', '-o', path), '1')
    await ebb.ok('delete', 'containersource', 'sender')
  })

  test('objects of a kind of the user are sinks, and are told theirs', async () => {
    const machine = (name: string, spec: string) => `
apiVersion: example.com/v1
kind: Machine
metadata: {name: ${name}, labels: {sends: events}}
spec: ${spec}
`
    const env = async (name: string) =>
      JSON.parse(
        (await ebb.ok(
          'get',
          'machine',
          name,
          '-o',
          'jsonpath={.spec.template.spec.containers[0].env}',
        )) || '[]',
      ) as readonly { name: string; value: string }[]
    const bound = (url: string) => [
      { name: 'K_SINK', value: url },
      { name: 'K_CE_OVERRIDES', value: '' },
    ]
    await apply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: machines.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Machine, plural: machines, singular: machine, listKind: MachineList}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: sources.knative.dev/v1
kind: SinkBinding
metadata: {name: machines}
spec:
  subject: {apiVersion: example.com/v1, kind: Machine, selector: {matchLabels: {sends: events}}}
  sink: {ref: {apiVersion: example.com/v1, kind: Machine, name: hub}}
`)
    await ebb.ok('wait', '--for=condition=Established', 'crd/machines.example.com')
    const template = '{template: {spec: {containers: [{name: main, image: none}]}}}'
    await apply(machine('old', template))
    await apply(machine('hub', '{}'))
    const moveHub = (url: string) =>
      ebb.ok(
        'patch',
        'machine',
        'hub',
        '--subresource=status',
        '--type=merge',
        '-p',
        JSON.stringify({ status: { address: { url } } }),
      )
    await moveHub('http://hub.example')
    await until('the old one is told', async () => (await env('old')).length > 0)
    await apply(machine('new', template))
    assert.deepEqual(await env('new'), bound('http://hub.example'))
    await moveHub('http://hub.example/elsewhere')
    await until(
      'both are told of the move',
      async () =>
        (await env('old'))[0]?.value === 'http://hub.example/elsewhere' &&
        (await env('new'))[0]?.value === 'http://hub.example/elsewhere',
    )
    await ebb.ok('delete', 'sinkbinding', 'machines')
    assert.deepEqual(await env('old'), [])
    await ebb.ok('delete', 'crd', 'machines.example.com')
  })

  test('a JobSink runs a Job for each event, and one that is sent again not again', async () => {
    await apply(`
apiVersion: sinks.knative.dev/v1alpha1
kind: JobSink
metadata: {name: work}
spec:
  job:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: event-sender}]}
`)
    await ready('jobsink', 'work')
    const ask = (method: string, path: string) =>
      request(ebb.local, 'job-sink.knative-eventing.svc.cluster.local', {
        method,
        path,
        headers: {
          'ce-specversion': '1.0',
          'ce-type': 'task',
          'ce-source': '/test',
          'ce-id': 'job-1',
        },
      })
    const first = await ask('POST', '/default/work')
    assert.equal(first.status, 202, first.body)
    const again = await ask('POST', '/default/work')
    const place = String(first.headers['location'])
    assert.equal(place, '/namespaces/default/name/work/sources/%2Ftest/ids/job-1')
    assert.equal(again.headers['location'], place)
    assert.equal((await ask('POST', '/default/nobody')).status, 400)
    await until('the Job is done', async () => (await ask('GET', place)).status === 200, 60_000)
    const jobs = await ebb.ok(
      'get',
      'jobs',
      '-l',
      'sinks.knative.dev/job-sink-name=work',
      '-o',
      'name',
    )
    assert.equal(jobs.trim().split('\n').length, 1)
    assert.match(await log(jobs.trim()), /was given \{"specversion":"1\.0",.*"id":"job-1"/)
  })
})

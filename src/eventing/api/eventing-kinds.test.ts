/** Admission of the kinds of Eventing: defaults and refusals in Knative's words, each kind in a table. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import { partsOf } from '../../knative/old-form.ts'
import {
  eventingConfigAdmission,
  eventingConfigMaps,
  eventingConfigs,
} from './config/config-maps.ts'
import { systemNamespace } from './names.ts'
import { eventingKinds } from './kinds.ts'

type Data = Readonly<Record<string, string>>
type Configs = Readonly<Record<string, Data>>

interface Given {
  readonly configs?: Configs
  readonly old?: KubeObject
  readonly username?: string
  readonly warnings?: string[]
  /** `verb resource namespace/name` that the user may not. */
  readonly forbidden?: readonly string[]
}

function context({
  configs = {},
  old,
  username = 'me',
  warnings = [],
  forbidden = [],
}: Given): AdmissionContext {
  return {
    operation: old ? 'UPDATE' : 'CREATE',
    ...(old && { old }),
    subresource: '',
    user: { username, groups: [] },
    dryRun: false,
    nowMs: 0,
    read: ((kind: { kind: string }, { name }: { name: string }) =>
      kind.kind === ConfigMap.kind && configs[name]
        ? { metadata: { name, namespace: systemNamespace }, data: configs[name] }
        : undefined) as AdmissionContext['read'],
    list: () => [],
    allows: ({ verb, resource, namespace, name }) =>
      !forbidden.includes(`${verb} ${resource} ${namespace}/${name}`),
    warn: (text) => warnings.push(text),
  }
}

function kindOf(name: string, group: RegExp): KindDefinition {
  const kind = eventingKinds.find((each) => each.kind === name && group.test(each.group))
  assert.ok(kind, name)
  return kind
}

const named = (
  { kind, group, version }: KindDefinition,
  spec: object,
  metadata: object = {},
): KubeObject => {
  const fields = { apiVersion: `${group}/${version}`, kind, spec }
  return { ...fields, metadata: { name: 'x', namespace: 'ns', ...metadata } }
}

function admitted(kind: KindDefinition, object: KubeObject, given: Given = {}): KubeObject {
  return kind.admit?.(object, context(given)) ?? object
}

/** The complaint, '' when there is none. */
function refusal(kind: KindDefinition, object: KubeObject, given: Given = {}): string {
  try {
    admitted(kind, object, given)
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    assert.match(error.message, /"validation\.webhook\.eventing\.knative\.dev" denied the request/)
    return error.message.replace(/^[^:]*: validation failed: /, '')
  }
  return ''
}

const Broker = kindOf('Broker', /^eventing/)
const Trigger = kindOf('Trigger', /^eventing/)
const Channel = kindOf('Channel', /^messaging/)
const InMemoryChannel = kindOf('InMemoryChannel', /^messaging/)
const Subscription = kindOf('Subscription', /^messaging/)
const Sequence = kindOf('Sequence', /^flows/)
const Parallel = kindOf('Parallel', /^flows/)
const EventType = kindOf('EventType', /^eventing/)
const RequestReply = kindOf('RequestReply', /^eventing/)

const service = { ref: { apiVersion: 'v1', kind: 'Service', name: 's' } }
const retryAfter = { 'config-features': { 'delivery-retryafter': 'enabled' } }
const noTimeout = { 'config-features': { 'delivery-timeout': 'disabled' } }
const across = { 'config-features': { 'cross-namespace-event-links': 'enabled' } }

const pem = (base64: string, of = 'CERTIFICATE'): string =>
  `-----BEGIN ${of}-----\n${base64}\n-----END ${of}-----`

test('what is refused, and how', () => {
  const trigger = (more: object) => ({ broker: 'b', subscriber: service, ...more })
  const cases: readonly [KindDefinition, object, string, Configs?][] = [
    [Trigger, { broker: 'b' }, 'missing field(s): spec.subscriber'],
    [
      Trigger,
      { subscriber: service },
      'expected exactly one, got neither: spec.broker, spec.brokerRef',
    ],
    [
      Trigger,
      trigger({ brokerRef: { name: 'b' } }),
      'expected exactly one, got both: spec.broker, spec.brokerRef',
    ],
    [Trigger, trigger({ delivery: { retry: -1 } }), 'invalid value: -1: spec.delivery.retry'],
    [
      Trigger,
      trigger({ delivery: { backoffPolicy: 'x' } }),
      'invalid value: x: spec.delivery.backoffPolicy',
    ],
    [
      Trigger,
      trigger({ delivery: { backoffDelay: '1s' } }),
      'invalid value: 1s: spec.delivery.backoffDelay',
    ],
    [Trigger, trigger({ delivery: { timeout: 'PT5S' } }), ''],
    [
      Trigger,
      trigger({ delivery: { timeout: 'PT0S' } }),
      'invalid value: PT0S: spec.delivery.timeout',
    ],
    [
      Trigger,
      trigger({ delivery: { timeout: 'PT5S' } }),
      'must not set the field(s): spec.delivery.timeout',
      noTimeout,
    ],
    [
      Trigger,
      trigger({ delivery: { retryAfterMax: 'PT5S' } }),
      'must not set the field(s): spec.delivery.retryAfterMax',
    ],
    [Trigger, trigger({ delivery: { retryAfterMax: 'PT5S' } }), '', retryAfter],
    [
      Trigger,
      {
        brokerRef: {
          kind: 'Broker',
          apiVersion: 'eventing.knative.dev/v1',
          name: 'b',
          namespace: 'o',
        },
        subscriber: service,
      },
      'must not set the field(s): spec.brokerRef.namespace',
    ],
    [
      Trigger,
      {
        brokerRef: {
          kind: 'Broker',
          apiVersion: 'eventing.knative.dev/v1',
          name: 'b',
          namespace: 'o',
        },
        subscriber: service,
      },
      '',
      across,
    ],
    ...['AAAA', 'MAYwADAAAwAA', '!'].map((bytes): [KindDefinition, object, string] => [
      Trigger,
      trigger({ subscriber: { ...service, CACerts: pem(bytes) } }),
      `invalid value: ${pem(bytes)}: spec.subscriber.CACerts\nCA Cert provided is invalid`,
    ]),
    [Trigger, trigger({ subscriber: { ...service, CACerts: pem('MAYwADAA\nAwA=') } }), ''],
    [
      Trigger,
      trigger({ subscriber: { ...service, CACerts: pem('MAYwADAA\nAwA=', 'PRIVATE KEY') } }),
      `invalid value: ${pem('MAYwADAA\nAwA=', 'PRIVATE KEY')}: spec.subscriber.CACerts\nCA Cert provided is invalid`,
    ],
    [
      Trigger,
      trigger({ subscriber: {} }),
      'expected at least one, got none: spec.subscriber.ref, spec.subscriber.uri',
    ],
    [
      Trigger,
      trigger({ subscriber: { uri: '/x' } }),
      'Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent: spec.subscriber.uri',
    ],
    [
      Trigger,
      trigger({ filters: [{ exact: { a: 'b' }, prefix: { a: 'b' } }] }),
      'multiple dialects found, filters can have only one dialect set: spec.filters[0]',
    ],
    [
      Subscription,
      { subscriber: service },
      'missing field(s): spec.channel\nthe Subscription must reference a channel',
    ],
    [
      Subscription,
      {
        channel: {
          apiVersion: 'messaging.knative.dev/v1',
          kind: 'Channel',
          name: 'c',
          namespace: 'o',
        },
        subscriber: service,
      },
      'mismatched namespaces: spec.channel.namespace\nparent namespace: "ns" does not match ref: "o"',
    ],
    [
      Subscription,
      {
        channel: {
          apiVersion: 'messaging.knative.dev/v1',
          kind: 'Channel',
          name: 'c',
          namespace: 'o',
        },
        subscriber: service,
      },
      '',
      across,
    ],
    [
      Channel,
      { channelTemplate: { kind: 'InMemoryChannel' } },
      'missing field(s): spec.channelTemplate.apiVersion',
    ],
    [
      InMemoryChannel,
      { subscribers: [{ uid: 'a' }] },
      'missing field(s): spec.subscribers[0].replyURI, spec.subscribers[0].subscriberURI\nexpected at least one of, got none',
    ],
    [Sequence, {}, 'missing field(s): spec.steps'],
    [
      Sequence,
      { steps: [service, {}] },
      'invalid value: {}: spec.steps[1]\nexpected at least one, got none: ref, uri',
    ],
    [Sequence, { steps: [service] }, ''],
    [Parallel, {}, 'missing field(s): spec.branches'],
    [
      Parallel,
      { branches: [{}] },
      'expected at least one, got none: spec.branches[0].subscriber.ref, spec.branches[0].subscriber.uri',
    ],
    [
      Parallel,
      { branches: [{ subscriber: service }], channelTemplate: {} },
      'missing field(s): spec.channelTemplate.apiVersion, spec.channelTemplate.kind',
    ],
    [EventType, {}, 'missing field(s): spec.type'],
    [RequestReply, {}, 'missing field(s): spec.brokerRef'],
    [
      RequestReply,
      {
        brokerRef: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' },
        replyAttribute: 'source',
        timeout: 'x',
      },
      'invalid value: source: spec.replyAttribute\nexpected the name of an attribute other than id, type, source and specversion\ninvalid value: x: spec.timeout\nexpected a duration of ISO 8601, as PT30S',
    ],
  ]
  for (const [kind, spec, wanted, configs] of cases)
    assert.equal(
      refusal(kind, named(kind, spec), configs ? { configs } : {}),
      wanted,
      `${kind.kind} ${JSON.stringify(spec)}`,
    )
})

test('fields of a Trigger that mean nothing are refused, not dropped', () => {
  const unknown = (spec: object): string => {
    try {
      admitted(Trigger, named(Trigger, { broker: 'b', subscriber: service, ...spec }))
    } catch (error) {
      return error instanceof StatusError ? error.message : String(error)
    }
    return ''
  }
  const denied = (field: string) =>
    `admission webhook "webhook.eventing.knative.dev" denied the request: mutation failed: cannot decode incoming new object: json: unknown field "${field}"`
  assert.equal(unknown({ filterr: {} }), denied('filterr'))
  assert.equal(unknown({ filters: [{ exact: { a: 'b' } }, { exactt: {} }] }), denied('exactt'))
  assert.equal(unknown({ filters: [{ any: [{ not: { sql: 'TRUE' } }] }] }), denied('sql'))
  assert.equal(unknown({ filters: [{ any: [{ not: { cesql: 'TRUE' } }] }, {}] }), '')
  for (const nested of [
    { any: 3 },
    { any: [null] },
    { not: [] },
    { exact: 3 },
    { prefix: { a: [1] } },
    { cesql: {} },
    { all: [{ suffix: { a: null } }] },
  ])
    assert.match(unknown({ filters: [{ not: nested }] }), /cannot decode.* in filter field/)
})

test('what may not be changed', () => {
  const stored = (kind: KindDefinition, spec: object) => admitted(kind, named(kind, spec))
  const cases: readonly [KindDefinition, object, object, RegExp | ''][] = [
    [Broker, {}, { delivery: { retry: 1 } }, ''],
    [
      Broker,
      {},
      { config: { apiVersion: 'v1', kind: 'ConfigMap', name: 'o' } },
      /^Immutable fields changed \(-old \+new\): spec/,
    ],
    [
      Trigger,
      { broker: 'a', subscriber: service },
      { broker: 'b', subscriber: service },
      /^Immutable fields changed \(-old \+new\): broker, spec/,
    ],
    [Channel, {}, { delivery: { retry: 1 } }, /^Immutable fields changed \(-old \+new\): spec/],
    [Sequence, { steps: [service] }, { steps: [service, service] }, ''],
  ]
  for (const [kind, before, after, wanted] of cases) {
    const found = refusal(kind, named(kind, after), { old: stored(kind, before) })
    if (wanted === '') assert.equal(found, '')
    else assert.match(found, wanted)
  }
  const subscribers = { subscribers: [{ uid: 'a', subscriberUri: 'http://a' }] }
  assert.match(
    refusal(Channel, named(Channel, subscribers), { old: stored(Channel, {}) }),
    /^must not set the field\(s\): spec\.subscribable\.subscribers/,
  )
  const old = stored(InMemoryChannel, {})
  const changed = named(InMemoryChannel, { subscribers: [{ uid: 'a', subscriberUri: 'http://a' }] })
  assert.match(refusal(InMemoryChannel, changed, { old }), /changed by user me which was not the/)
  const controller = 'system:serviceaccount:knative-eventing:eventing-controller'
  assert.equal(refusal(InMemoryChannel, changed, { old, username: controller }), '')
})

test('another namespace is subscribed to by who may do that', () => {
  const configs = across
  const elsewhere = (kind: string, group: string) => ({
    apiVersion: `${group}/v1`,
    kind,
    name: 'x',
    namespace: 'theirs',
  })
  const cases: readonly [KindDefinition, object, string, string][] = [
    [
      Trigger,
      { brokerRef: elsewhere('Broker', 'eventing.knative.dev'), subscriber: service },
      'knsubscribe brokers theirs/x',
      'spec.brokerRef',
    ],
    [
      Subscription,
      { channel: elsewhere('Channel', 'messaging.knative.dev'), subscriber: service },
      'knsubscribe channels theirs/x',
      'spec.channel',
    ],
    [
      Subscription,
      { channel: elsewhere('InMemoryChannel', 'messaging.knative.dev'), subscriber: service },
      'knsubscribe inmemorychannels theirs/x',
      'spec.channel',
    ],
  ]
  for (const [kind, spec, right, path] of cases) {
    const object = named(kind, spec)
    assert.equal(refusal(kind, object, { configs }), '')
    assert.equal(
      refusal(kind, object, { configs, forbidden: [right] }),
      `user me is not authorized to get target resource in namespace: theirs: ${path}`,
    )
    const home = { namespace: 'theirs' }
    assert.equal(refusal(kind, named(kind, spec, home), { configs, forbidden: [right] }), '')
  }
})

test('defaults of Brokers: one entry, the most specific', () => {
  const yaml = `
clusterDefault:
  brokerClass: MTChannelBasedBroker
  apiVersion: v1
  kind: ConfigMap
  name: cluster
  namespace: sys
  delivery: {retry: 1, timeout: PT1S, deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: d}}}
  brokerClasses:
    Kafka: {apiVersion: v1, kind: ConfigMap, name: cluster-kafka, namespace: sys}
namespaceDefaults:
  ns:
    brokerClass: Kafka
    apiVersion: v1
    kind: ConfigMap
    name: own
    brokerClasses:
      MTChannelBasedBroker: {apiVersion: v1, kind: ConfigMap, name: own-mt, delivery: {retry: 2}}
  other: {brokerClass: MTChannelBasedBroker}
`
  const configs = { 'config-br-defaults': { 'default-br-config': yaml } }
  const classKey = 'eventing.knative.dev/broker.class'
  const made = (namespace: string, brokerClass?: string) => {
    const annotations = brokerClass === undefined ? {} : { [classKey]: brokerClass }
    const object = admitted(Broker, named(Broker, {}, { namespace, annotations }), { configs })
    const { config, delivery } = partsOf(object).spec
    return [object.metadata.annotations?.[classKey], Object(config)['name'], delivery]
  }
  const sink = { ref: { ...service.ref, name: 'd' } }
  const inPlace = (namespace: string) => ({ deadLetterSink: { ref: { ...sink.ref, namespace } } })
  assert.deepEqual(made('elsewhere'), [
    'MTChannelBasedBroker',
    'cluster',
    { ...inPlace('elsewhere'), retry: 1 },
  ])
  assert.deepEqual(made('ns'), ['Kafka', 'cluster-kafka', undefined])
  assert.deepEqual(made('ns', 'MTChannelBasedBroker'), [
    'MTChannelBasedBroker',
    'own-mt',
    { retry: 2 },
  ])
  assert.deepEqual(made('ns', 'Other'), ['Other', 'own', undefined])
  const warnings: string[] = []
  admitted(Broker, named(Broker, {}, { namespace: 'ns' }), { configs, warnings })
  assert.match(warnings.join(), /class Kafka.*MTChannelBasedBroker is served/)
  assert.deepEqual(made('other'), [
    'MTChannelBasedBroker',
    'cluster',
    { ...inPlace('other'), retry: 1 },
  ])
})

test('channels of a namespace, and the ConfigMap that said so before', () => {
  const kindIn = (namespace: string, configs: Configs) => {
    const object = admitted(Channel, named(Channel, {}, { namespace }), { configs })
    return Object(partsOf(object).spec['channelTemplate'])['kind']
  }
  const now = {
    'default-ch-webhook': {
      'default-ch-config':
        'clusterDefault: {apiVersion: a/v1, kind: A}\nnamespaceDefaults: {ns: {apiVersion: b/v1, kind: B}}',
    },
  }
  const former = {
    'default-channel-webhook': {
      'default-channel-config':
        'clusterdefault: {apiVersion: c/v1, kind: C}\nnamespacedefaults: {ns: {apiVersion: d/v1, kind: D}}',
    },
  }
  assert.deepEqual([kindIn('ns', now), kindIn('x', now)], ['B', 'A'])
  assert.deepEqual([kindIn('ns', former), kindIn('x', former)], ['D', 'C'])
  assert.equal(kindIn('ns', { ...now, ...former }), 'B')
  assert.equal(kindIn('ns', {}), 'InMemoryChannel')
})

test('what is filled in', () => {
  const inNamespace = { ref: { ...service.ref, namespace: 'ns' } }
  const template = { apiVersion: 'messaging.knative.dev/v1', kind: 'InMemoryChannel' }
  const cases: readonly [KindDefinition, object, object][] = [
    [
      Broker,
      {},
      {
        config: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name: 'config-br-default-channel',
          namespace: 'knative-eventing',
        },
        delivery: { retry: 10, backoffPolicy: 'exponential', backoffDelay: 'PT0.2S' },
      },
    ],
    [
      Trigger,
      { broker: 'b', subscriber: service },
      { broker: 'b', filter: {}, subscriber: inNamespace },
    ],
    [Channel, {}, { channelTemplate: template }],
    [
      Sequence,
      { steps: [service], reply: service },
      { steps: [inNamespace], reply: inNamespace, channelTemplate: template },
    ],
    [
      Parallel,
      { branches: [{ filter: service, subscriber: service }] },
      { branches: [{ filter: inNamespace, subscriber: inNamespace }], channelTemplate: template },
    ],
    [
      RequestReply,
      { brokerRef: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' } },
      {
        brokerRef: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' },
        correlationAttribute: 'correlationid',
        replyAttribute: 'replyid',
        timeout: 'PT30S',
      },
    ],
  ]
  for (const [kind, spec, wanted] of cases)
    assert.deepEqual(partsOf(admitted(kind, named(kind, spec))).spec, wanted, kind.kind)
})

test('old forms become what is said today', () => {
  const cases: readonly [KindDefinition, string, object, object][] = [
    [
      Trigger,
      'v1alpha1',
      { filter: { sourceAndType: { type: 'a', source: 'Any' } }, subscriber: { dnsName: 'd.ns' } },
      {
        broker: 'default',
        filter: { attributes: { type: 'a' } },
        subscriber: { uri: 'http://d.ns/' },
      },
    ],
    [
      Subscription,
      'v1alpha1',
      { channel: { name: 'c' }, reply: { channel: { kind: 'Channel', name: 'r' } } },
      { channel: { name: 'c' }, subscriber: { ref: { kind: 'Channel', name: 'r' } } },
    ],
    [
      InMemoryChannel,
      'v1alpha1',
      {
        subscribable: {
          subscribers: [{ uid: 'u', subscriberURI: 'http://a', deadLetterSink: 'http://d' }],
        },
      },
      {
        subscribers: [
          {
            uid: 'u',
            subscriberUri: 'http://a',
            delivery: { deadLetterSink: { uri: 'http://d' } },
          },
        ],
      },
    ],
    [
      Parallel,
      'v1alpha1',
      { cases: [{ subscriber: service }], reply: { apiVersion: 'v1', kind: 'Service', name: 'r' } },
      {
        branches: [{ subscriber: service }],
        reply: { ref: { apiVersion: 'v1', kind: 'Service', name: 'r' } },
      },
    ],
    [
      EventType,
      'v1alpha1',
      { type: 't', source: 's', broker: 'dev' },
      {
        type: 't',
        source: 's',
        reference: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'dev' },
      },
    ],
    [
      EventType,
      'v1beta3',
      {
        attributes: ['id', 'specversion', 'source', 'type'].map((name) => ({
          name,
          value: `the ${name}`,
        })),
      },
      { type: 'the type', source: 'the source' },
    ],
  ]
  for (const [kind, version, spec, wanted] of cases) {
    const served = kind.versions?.find((each) => each.version === version)
    assert.ok(served, `${kind.kind} ${version}`)
    const today = served.toStorage(named({ ...kind, version }, spec), () => {})
    assert.equal(today.apiVersion, `${kind.group}/${kind.version}`)
    assert.deepEqual(partsOf(today).spec, wanted)
    // There and back, and there again: the same.
    const again = served.toStorage(served.fromStorage(today), () => {})
    assert.deepEqual(partsOf(again).spec, wanted, `${kind.kind} ${version} comes back`)
  }
})

test('one thing said in an old and a new way is refused, but for a patch of what was answered', () => {
  const v1alpha1 = Trigger.versions?.find((each) => each.version === 'v1alpha1')
  const both = {
    broker: 'b',
    filter: { sourceAndType: { type: 'new' }, attributes: { type: 'old' } },
    subscriber: service,
  }
  const object = named({ ...Trigger, version: 'v1alpha1' }, both)
  assert.throws(() => v1alpha1?.toStorage(object, () => {}), /expected exactly one, got both/)
  const patched = { ...object, metadata: { ...object.metadata, uid: 'u' } }
  const today = v1alpha1?.toStorage(patched, () => {})
  assert.ok(today)
  assert.deepEqual(partsOf(today).spec['filter'], { attributes: { type: 'new' } })
})

test('ConfigMaps come with their examples, and bad values do not get in', () => {
  const shipped = eventingConfigMaps()
  for (const each of shipped)
    assert.equal(eventingConfigAdmission.admit(each, context({})), each, each.metadata.name)
  for (const { name, defaults } of eventingConfigs) assert.ok(defaults, name)
  const cases: readonly [string, Data, RegExp | ''][] = [
    ['config-features', { 'kreference-group': 'Enabled' }, ''],
    ['config-features', { 'kreference-group': 'yes' }, /"yes" for key kreference-group/],
    ['config-features', { 'requestreply-default-timeout': '30s' }, /ISO 8601/],
    ['config-sugar', { 'namespace-selector': '{}' }, ''],
    ['config-sugar', { 'namespace-selector': 'a: b' }, /namespace-selector/],
    ['config-observability', { 'tracing-sampling-rate': '2' }, /tracing-sampling-rate/],
    ['config-tracing', { 'sample-rate': '7' }, /sample-rate/],
    [
      'default-channel-webhook',
      { 'default-channel-config': 'clusterdefault: {kind: A}' },
      /clusterdefault/,
    ],
    ['default-ch-webhook', { 'default-ch-config': 'clusterDefault: A' }, /clusterDefault/],
    ['config-leader-election', { 'lease-duration': 'soon' }, /lease-duration/],
    ['config-logging', { 'loglevel.controller': 'loud' }, /loglevel\.controller/],
    ['config-kreference-mapping', { 'Pod.v1': 'http://{{ .Name }}' }, ''],
    ['config-kreference-mapping', { 'Pod.v1': 'http://{{ .Host }}' }, /Pod\.v1/],
    ['somebody-elses', { 'kreference-group': 'yes' }, ''],
  ]
  for (const [name, data, wanted] of cases) {
    const metadata = { name, namespace: systemNamespace }
    const admit = () =>
      eventingConfigAdmission.admit(
        { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as KubeObject,
        context({}),
      )
    if (wanted === '') admit()
    else assert.throws(admit, wanted)
  }
  const [first] = shipped
  assert.ok(first)
  const spoiled = { ...first, data: { _example: 'other' } }
  assert.throws(() => eventingConfigAdmission.admit(spoiled, context({})), /_example/)
})

test('tools find kinds by the labels of their definitions', () => {
  const withLabel = (label: string) =>
    eventingKinds
      .filter(({ definition }) => definition?.labels?.[label] === 'true')
      .map(({ kind }) => kind)
  assert.deepEqual(withLabel('messaging.knative.dev/subscribable'), ['Channel', 'InMemoryChannel'])
  for (const kind of ['PingSource', 'ApiServerSource', 'ContainerSource', 'SinkBinding'])
    assert.ok(withLabel('duck.knative.dev/source').includes(kind), kind)
  for (const kind of ['Broker', 'Channel', 'Sequence', 'Parallel', 'JobSink', 'EventTransform'])
    assert.ok(withLabel('duck.knative.dev/addressable').includes(kind), kind)
})

test('of two groups with a kind of one name, the one of today comes first', () => {
  const groups = [...new Set(eventingKinds.map(({ group }) => group))]
  const before = (today: string, former: string) =>
    assert.ok(groups.indexOf(today) < groups.indexOf(former), `${today} before ${former}`)
  before('flows.knative.dev', 'messaging.knative.dev')
  if (groups.includes('sources.eventing.knative.dev'))
    before('sources.knative.dev', 'sources.eventing.knative.dev')
})

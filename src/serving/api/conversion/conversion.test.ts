/** Old forms to today's and back: every field that has moved or changed its name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { StatusError } from '../../../kube/api/status-error.ts'
import { Configuration } from '../configuration.ts'
import { Revision } from '../revision.ts'
import { Route } from '../route.ts'
import { Service } from '../service.ts'
import { fieldsOf, listOf, partsOf } from './fields.ts'

const object = (
  kind: string,
  spec: object,
  version = 'v1alpha1',
  more: object = {},
): KubeObject => {
  const apiVersion = `serving.knative.dev/${version}`
  const fields = { apiVersion, kind, metadata: { name: 'x', namespace: 'ns' }, spec }
  return { ...fields, ...more }
}

const servedBy = { Service, Configuration, Revision, Route }
type KindName = keyof typeof servedBy

function version(kind: KindName, name: string) {
  const found = servedBy[kind].versions?.find((each) => each.version === name)
  assert.ok(found)
  return found
}

function toV1(kind: KindName, spec: object, warnings: string[] = []) {
  const stored = version(kind, 'v1alpha1').toStorage(object(kind, spec), (text) =>
    warnings.push(text),
  )
  assert.equal(stored.apiVersion, 'serving.knative.dev/v1')
  return partsOf(stored).spec
}

function refusal(kind: KindName, spec: object): string {
  try {
    toV1(kind, spec)
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    assert.equal(error.code, 400)
    return error.message.replace(/^.*validation failed: /, '')
  }
  return ''
}

const configuration = { revisionTemplate: { spec: { container: { image: 'a/b' } } } }
const template = { spec: { containers: [{ image: 'a/b' }] } }
const latest = { latestRevision: true, percent: 0, tag: 'latest' }

test('the modes of a Service', () => {
  for (const [spec, traffic] of [
    [{ runLatest: { configuration } }, [{ latestRevision: true, percent: 100 }]],
    [
      { pinned: { revisionName: 'r', configuration } },
      [{ revisionName: 'r', latestRevision: false, percent: 100 }],
    ],
    [
      { release: { revisions: ['r'], configuration } },
      [{ revisionName: 'r', latestRevision: false, percent: 100, tag: 'current' }, latest],
    ],
    [
      { release: { revisions: ['r', 's'], rolloutPercent: 20, configuration } },
      [
        { revisionName: 'r', latestRevision: false, percent: 80, tag: 'current' },
        { revisionName: 's', latestRevision: false, percent: 20, tag: 'candidate' },
        latest,
      ],
    ],
    [
      { release: { revisions: ['r', '@latest'], rolloutPercent: 5, configuration } },
      [
        { revisionName: 'r', latestRevision: false, percent: 95, tag: 'current' },
        { latestRevision: true, percent: 5, tag: 'candidate' },
        latest,
      ],
    ],
  ] as const)
    assert.deepEqual(toV1('Service', spec), { template, traffic })
  assert.deepEqual(toV1('Service', { template, traffic: [{ tag: 't', percent: 100 }] }), {
    template,
    traffic: [{ tag: 't', percent: 100 }],
  })
})

test('what a Service may not say', () => {
  const label =
    "not a DNS 1035 label: [a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')]"
  for (const [spec, wanted] of [
    [
      {},
      'expected exactly one, got neither: spec.pinned, spec.release, spec.runLatest, spec.template',
    ],
    [
      { runLatest: { configuration }, template },
      'expected exactly one, got both: spec.runLatest, spec.template',
    ],
    [
      { runLatest: { configuration }, traffic: [] },
      'expected exactly one, got both: spec.runLatest, spec.traffic',
    ],
    [{ manual: {} }, 'must not set the field(s): spec.manual'],
    [{ pinned: { configuration } }, 'missing field(s): spec.pinned.revisionName'],
    [{ release: { configuration } }, 'missing field(s): spec.release.revisions'],
    [
      { release: { revisions: ['a', 'b', 'c'], configuration } },
      'expected 1 <= 3 <= 2: spec.release.revisions',
    ],
    [{ release: { revisions: ['A'], configuration } }, `${label}: spec.release.revisions[0]`],
    [
      { release: { revisions: ['a', 'b'], rolloutPercent: 100, configuration } },
      'expected 0 <= 100 <= 99: spec.release.rolloutPercent',
    ],
    [
      { release: { revisions: ['a'], rolloutPercent: 1, configuration } },
      'invalid value: 1: spec.release.rolloutPercent',
    ],
    [
      { runLatest: { configuration: { ...configuration, build: {} } } },
      'must not set the field(s): spec.runLatest.configuration.build',
    ],
    [
      { runLatest: { configuration: {} } },
      'expected exactly one, got neither: spec.runLatest.configuration.revisionTemplate, spec.runLatest.configuration.template',
    ],
    [
      { template, traffic: [{ name: 'a', tag: 'b', percent: 100 }] },
      'expected exactly one, got both: spec.traffic[0].name, spec.traffic[0].tag',
    ],
  ] as const)
    assert.equal(refusal('Service', spec), wanted)
})

test('a Configuration of 2018', () => {
  const old = {
    generation: 3,
    revisionTemplate: {
      metadata: { labels: { app: 'x' } },
      spec: {
        container: { image: 'a/b' },
        concurrencyModel: 'Single',
        servingState: 'Active',
        buildName: 'b',
        timeoutSeconds: 10,
        serviceAccountName: 's',
      },
    },
  }
  assert.deepEqual(toV1('Configuration', old), {
    template: {
      metadata: { labels: { app: 'x' } },
      spec: {
        containers: [{ image: 'a/b' }],
        containerConcurrency: 1,
        timeoutSeconds: 10,
        serviceAccountName: 's',
      },
    },
  })
  for (const [spec, wanted] of [
    [{}, 'expected exactly one, got neither: spec.revisionTemplate, spec.template'],
    [
      { template, revisionTemplate: template },
      'expected exactly one, got both: spec.revisionTemplate, spec.template',
    ],
    [{ template, build: {} }, 'must not set the field(s): spec.build'],
    [
      { template: { spec: { container: {}, containers: [] } } },
      'expected exactly one, got both: spec.template.spec.container, spec.template.spec.containers',
    ],
    [
      { template: { spec: { container: {}, buildRef: {} } } },
      'must not set the field(s): spec.template.spec.buildRef',
    ],
  ] as const)
    assert.equal(refusal('Configuration', spec), wanted)
})

test('concurrencyModel counts only where containerConcurrency says nothing', () => {
  const concurrency = (spec: object) =>
    toV1('Revision', { container: {}, ...spec })['containerConcurrency']
  assert.equal(concurrency({ concurrencyModel: 'Single' }), 1)
  assert.equal(concurrency({ concurrencyModel: 'Single', containerConcurrency: 0 }), 1)
  assert.equal(concurrency({ concurrencyModel: 'Single', containerConcurrency: 5 }), 5)
  assert.equal(concurrency({ concurrencyModel: 'Multi' }), 0)
  assert.equal(concurrency({}), undefined)
})

test('old clients find what they read', () => {
  const status = {
    url: 'http://x.ns.example.com:8080',
    address: { url: 'http://x.ns.svc.cluster.local' },
    traffic: [{ revisionName: 'r', tag: 't', percent: 100 }],
  }
  const answered = partsOf(
    version('Route', 'v1alpha1').fromStorage(object('Route', {}, 'v1', { status })),
  ).status
  assert.deepEqual(answered, {
    url: 'http://x.ns.example.com:8080',
    domain: 'x.ns.example.com',
    domainInternal: 'x.ns.svc.cluster.local',
    address: { url: 'http://x.ns.svc.cluster.local', hostname: 'x.ns.svc.cluster.local' },
    traffic: [{ revisionName: 'r', tag: 't', name: 't', percent: 100 }],
  })
  const back = version('Route', 'v1alpha1').toStorage(
    object('Route', { traffic: [] }, 'v1alpha1', { status: answered }),
    () => {},
  )
  assert.deepEqual(partsOf(back).status, { ...status, domain: 'x.ns.example.com' })

  const containers = [{ name: 's' }, { name: 'c', ports: [{ containerPort: 80 }] }]
  const containerStatuses = [
    { name: 's', imageDigest: 'a/s@sha256:1' },
    { name: 'c', imageDigest: 'a/b@sha256:2' },
  ]
  for (const old of ['v1alpha1', 'v1beta1']) {
    const revision = version('Revision', old).fromStorage(
      object('Revision', { containers }, 'v1', { status: { containerStatuses } }),
    )
    assert.equal(revision.apiVersion, `serving.knative.dev/${old}`)
    assert.deepEqual(partsOf(revision).status, {
      containerStatuses,
      serviceName: 'x',
      imageDigest: 'a/b@sha256:2',
    })
  }
})

test('v1beta1 is v1 under another name', () => {
  for (const kind of ['Service', 'Configuration', 'Revision', 'Route'] as const) {
    const v1beta1 = version(kind, 'v1beta1')
    const today = object(kind, { a: 1 }, 'v1')
    const old = v1beta1.fromStorage(today)
    assert.equal(old.apiVersion, 'serving.knative.dev/v1beta1')
    assert.deepEqual(
      v1beta1.toStorage(old, () => {}),
      today,
    )
    assert.equal(
      v1beta1.deprecationWarning,
      `serving.knative.dev/v1beta1 ${kind} is deprecated; use serving.knative.dev/v1 ${kind}`,
    )
  }
})

/** What a manifest of 2018 may say of its container and template. */
const oldTemplate = fc
  .record(
    {
      container: fc.record(
        {
          image: fc.constantFrom('a/b', 'a/b:1', 'registry.example.com/a/b'),
          env: fc.array(fc.record({ name: fc.constantFrom('A', 'B'), value: fc.string() }), {
            maxLength: 2,
          }),
          args: fc.array(fc.string(), { maxLength: 2 }),
        },
        { requiredKeys: ['image'] },
      ),
      serviceAccountName: fc.constant('builder'),
      timeoutSeconds: fc.integer({ min: 1, max: 600 }),
      containerConcurrency: fc.integer({ min: 0, max: 20 }),
      concurrencyModel: fc.constantFrom('Single', 'Multi'),
      servingState: fc.constant('Active'),
      buildName: fc.constant('b'),
    },
    { requiredKeys: ['container'] },
  )
  .chain((spec) =>
    fc.constantFrom('revisionTemplate', 'template').map((field) => ({ spec, field })),
  )

const mode = fc.oneof(
  fc.constant({ name: 'runLatest', fields: {} }),
  fc.constant({ name: 'pinned', fields: { revisionName: 'r' } }),
  fc
    .record({
      revisions: fc.array(fc.constantFrom('r', 's', '@latest'), { minLength: 1, maxLength: 2 }),
      percent: fc.integer({ min: 0, max: 99 }),
    })
    .map(({ revisions, percent }) => ({
      name: 'release',
      fields: { revisions, ...(revisions.length === 2 && { rolloutPercent: percent }) },
    })),
)

test('to today’s form, back, and again: nothing that was said is lost, nothing changes', () => {
  const v1alpha1 = version('Service', 'v1alpha1')
  const convert = (service: KubeObject) => v1alpha1.toStorage(service, () => {})
  fc.assert(
    fc.property(oldTemplate, mode, ({ spec, field }, { name, fields }) => {
      const old = object('Service', {
        [name]: { ...fields, configuration: { [field]: { spec } } },
      })
      const stored = convert(old)
      const answered = v1alpha1.fromStorage(stored)
      assert.equal(answered.apiVersion, 'serving.knative.dev/v1alpha1')
      // Whoever reads it, changes nothing and writes it, with or without its uid, has changed nothing.
      assert.deepEqual(convert(answered), stored)
      const patched = { ...answered, metadata: { ...answered.metadata, uid: 'u' } }
      assert.deepEqual(partsOf(convert(patched)), partsOf(stored))
      // What kubectl makes of the same manifest applied again: old and new fields side by side.
      const again = { ...patched, spec: { ...partsOf(answered).spec, ...partsOf(old).spec } }
      assert.deepEqual(partsOf(convert(again)).spec, partsOf(stored).spec)

      const { template: storedTemplate, traffic } = partsOf(stored).spec
      const pod = fieldsOf(fieldsOf(storedTemplate)['spec'])
      assert.deepEqual(listOf(pod['containers']), [{ ...spec.container }])
      assert.equal(pod['timeoutSeconds'], spec.timeoutSeconds)
      assert.equal(pod['serviceAccountName'], spec.serviceAccountName)
      if (spec.containerConcurrency)
        assert.equal(pod['containerConcurrency'], spec.containerConcurrency)
      const shares = listOf(traffic).map((target) => Number(fieldsOf(target)['percent']))
      assert.equal(
        shares.reduce((sum, share) => sum + share, 0),
        100,
      )
    }),
    { numRuns: 200 },
  )
})

test('traffic names and tags survive the way there and back', () => {
  const v1alpha1 = version('Route', 'v1alpha1')
  const target = fc.record(
    { revisionName: fc.constant('r'), percent: fc.nat(100), name: fc.constantFrom('a', 'b') },
    { requiredKeys: ['revisionName', 'percent'] },
  )
  fc.assert(
    fc.property(fc.array(target, { maxLength: 4 }), (traffic) => {
      const convert = (route: KubeObject) => v1alpha1.toStorage(route, () => {})
      const stored = convert(object('Route', { traffic, generation: 1 }))
      assert.deepEqual(
        listOf(partsOf(stored).spec['traffic']).map((each) => fieldsOf(each)['tag']),
        traffic.map(({ name }) => name),
      )
      assert.deepEqual(convert(v1alpha1.fromStorage(stored)), stored)
    }),
    { numRuns: 100 },
  )
})

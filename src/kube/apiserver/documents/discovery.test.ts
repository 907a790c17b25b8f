import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { coreKinds } from '../../api/kinds.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { anything } from '../../api/schema.ts'
import { createDiscovery } from './discovery.ts'
import { compareVersions } from '../served.ts'

const convert = { toStorage: <T>(object: T) => object, fromStorage: <T>(object: T) => object }
const widget: KindDefinition = {
  group: 'ex.dev',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  shortNames: ['wd'],
  categories: ['all'],
  namespaced: true,
  description: 'A widget.',
  schema: anything(),
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  columns: [],
  versions: [
    { version: 'v1alpha1', schema: anything(), ...convert },
    { version: 'v1beta1', schema: anything(), ...convert },
  ],
}

const discovery = createDiscovery([widget, ...coreKinds])
const legacy = (path: string) => {
  const document = discovery.document(path, 'application/json', '127.0.0.1:6443')
  return document && JSON.parse(document.body)
}
const v2 = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

test('the old documents', () => {
  assert.deepEqual(legacy('/api').versions, ['v1'])
  assert.equal(legacy('/api').serverAddressByClientCIDRs[0].serverAddress, '127.0.0.1:6443')
  const { groups } = legacy('/apis')
  assert.equal(groups[0].name, 'apps')
  const own = groups.at(-1)
  assert.deepEqual(own, {
    name: 'ex.dev',
    versions: ['v1', 'v1beta1', 'v1alpha1'].map((version) => ({
      groupVersion: `ex.dev/${version}`,
      version,
    })),
    preferredVersion: { groupVersion: 'ex.dev/v1', version: 'v1' },
  })
  assert.equal(legacy('/apis/ex.dev').kind, 'APIGroup')
  const names = legacy('/api/v1').resources.map((each: { name: string }) => each.name)
  for (const name of ['pods', 'pods/status', 'pods/log', 'pods/binding', 'namespaces/finalize'])
    assert.ok(names.includes(name), name)
  for (const path of [
    '/api/v2',
    '/apis/no',
    '/apis/ex.dev/v3',
    '/api/v1/pods',
    '/apis/ex.dev/v1/widgets',
  ])
    assert.equal(legacy(path), undefined, path)
})

test('kubectl drain finds eviction in /api/v1, scale points to autoscaling', () => {
  const find = (path: string, name: string) =>
    legacy(path).resources.find((each: { name: string }) => each.name === name)
  const { group, version, kind } = find('/api/v1', 'pods/eviction')
  assert.deepEqual([group, version, kind], ['policy', 'v1', 'Eviction'])
  assert.equal(find('/apis/apps/v1', 'deployments/scale').group, 'autoscaling')
  assert.equal(find('/api/v1', 'namespaces').verbs.includes('deletecollection'), false)
})

test('the aggregated document, in the version that was asked for first', () => {
  const document = discovery.document('/apis', `${v2},application/json`, '')
  assert.equal(document?.contentType, v2)
  const { apiVersion, items } = JSON.parse(document?.body ?? '')
  assert.equal(apiVersion, 'apidiscovery.k8s.io/v2')
  const group = items.find(
    (each: { metadata: { name: string } }) => each.metadata.name === 'ex.dev',
  )
  assert.deepEqual(group.versions[0], {
    version: 'v1',
    freshness: 'Current',
    resources: [
      {
        resource: 'widgets',
        responseKind: { group: 'ex.dev', version: 'v1', kind: 'Widget' },
        scope: 'Namespaced',
        singularResource: 'widget',
        verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
        shortNames: ['wd'],
        categories: ['all'],
        subresources: [
          {
            subresource: 'status',
            responseKind: { group: 'ex.dev', version: 'v1', kind: 'Widget' },
            verbs: ['get', 'patch', 'update'],
          },
        ],
      },
    ],
  })
  const beta = v2.replace('v=v2', 'v=v2beta1')
  assert.equal(discovery.document('/api', `${beta},application/json`, '')?.contentType, beta)
  assert.equal(discovery.document('/api', '*/*', '')?.contentType, 'application/json')
  const core = JSON.parse(discovery.document('/api', v2, '')?.body ?? '')
  assert.equal(core.items.length, 1)
  assert.equal(core.items[0].metadata.name, undefined)
})

test('the ETag is the hash of the body', () => {
  const document = discovery.document('/apis', v2, '')
  const hash = createHash('sha512')
    .update(document?.body ?? '')
    .digest('hex')
    .toUpperCase()
  assert.equal(document?.etag, `"${hash}"`)
})

test('versions: stable before beta before alpha, newer first', () => {
  const sorted = ['v1alpha1', 'foo', 'v1', 'v2beta1', 'v10', 'v1beta2', 'v2'].toSorted(
    compareVersions,
  )
  assert.deepEqual(sorted, ['v10', 'v2', 'v1', 'v2beta1', 'v1beta2', 'v1alpha1', 'foo'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KindDefinition } from '../../api/kind.ts'
import { Namespace } from '../../api/namespace.ts'
import { Pod } from '../../api/pod.ts'
import { anything } from '../../api/schema.ts'
import { toTable } from './table.ts'

const namespace: Namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'n', resourceVersion: '7', creationTimestamp: '1970-01-01T00:00:00Z' },
  status: { phase: 'Active' },
}

test('a list as a table: columns, cells, and the metadata of each object', () => {
  const table = toTable(Namespace, [namespace], {
    nowMs: 5000,
    listMetadata: { resourceVersion: '9', continue: 'x' },
  })
  assert.deepEqual(table.metadata, { resourceVersion: '9', continue: 'x' })
  assert.deepEqual(
    table.columnDefinitions?.map(({ name, format, priority }) => [name, format, priority]),
    [
      ['Name', 'name', 0],
      ['Status', '', 0],
      ['Age', '', 0],
    ],
  )
  assert.deepEqual(table.rows, [
    {
      cells: ['n', 'Active', '5s'],
      object: {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: namespace.metadata,
      },
    },
  ])
})

test('a single object has its own resourceVersion; whole objects, none, and later watch events', () => {
  const options = { nowMs: 0, version: 'v1beta1' } as const
  const whole = toTable(Namespace, [namespace], { ...options, includeObject: 'Object' })
  assert.equal(whole.apiVersion, 'meta.k8s.io/v1beta1')
  assert.deepEqual(whole.metadata, { resourceVersion: '7' })
  assert.equal(whole.rows[0]?.object, namespace)
  const none = toTable(Namespace, [namespace], {
    ...options,
    includeObject: 'None',
    withColumns: false,
  })
  assert.equal(none.columnDefinitions, null)
  assert.equal(none.rows[0] && 'object' in none.rows[0], false)
})

const widget: KindDefinition = {
  group: 'ex.dev',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  singular: 'widget',
  namespaced: true,
  description: 'A widget.',
  schema: anything(),
  flavour: 'custom',
  hasStatus: false,
  hasGeneration: true,
  columns: [],
}

test('kinds without columns get name and age; a name column is put in front; dates become ages', () => {
  const names = (kind: KindDefinition) =>
    toTable(kind, [], { nowMs: 0 }).columnDefinitions?.map(({ name }) => name)
  assert.deepEqual(names(widget), ['Name', 'Age'])
  assert.deepEqual(names({ ...widget, flavour: 'builtin' }), ['Name', 'Created At'])
  const columns: KindDefinition['columns'] = [
    { name: 'Since', type: 'date', value: () => '1970-01-01T00:00:00Z' },
    { name: 'Nothing', type: 'string', value: () => undefined },
    {
      name: 'Broken',
      type: 'string',
      value: () => {
        throw new TypeError('half-filled')
      },
    },
  ]
  const table = toTable({ ...widget, columns }, [namespace], { nowMs: 30_000 })
  assert.deepEqual(table.rows[0]?.cells, ['n', '30s', null, null])
})

test('a pod that has ended says so in its row', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [] },
    status: { phase: 'Succeeded' },
  }
  assert.deepEqual(toTable(Pod, [pod], { nowMs: 0 }).rows[0]?.conditions, [
    { type: 'Completed', status: 'True', reason: 'Succeeded' },
  ])
})

test('a scale is shown as one', () => {
  const scale = {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'web' },
    spec: { replicas: 3 },
    status: { replicas: 2 },
  }
  const { rows } = toTable(Pod, [scale], { nowMs: 0 })
  assert.deepEqual(rows[0]?.cells, ['web', 3, 2, '<unknown>'])
})

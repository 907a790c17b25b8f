import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Deployment } from '../../api/deployment.ts'
import { Pod } from '../../api/pod.ts'
import { wholeSchema } from '../../api/structural.ts'
import { strategicMerge } from './strategic-merge.ts'
import type { Fields } from '../values.ts'

const merge = (target: Fields, patch: Fields): Fields =>
  strategicMerge(wholeSchema(Pod), target, patch)
/** Only the spec, to and fro. */
const spec = (target: Fields, patch: Fields): unknown =>
  merge({ spec: target }, { spec: patch })['spec']

const a = { name: 'a', image: 'x:1' }
const b = { name: 'b', image: 'y:1' }

test('keyed lists merge by key, new items are appended', () => {
  assert.deepEqual(
    spec({ containers: [a, b] }, { containers: [{ name: 'b', image: 'y:2' }, { name: 'c' }] }),
    { containers: [a, { name: 'b', image: 'y:2' }, { name: 'c' }] },
  )
})

test('kubectl set env: order of elements and nested lists', () => {
  const next = strategicMerge(
    wholeSchema(Deployment),
    { spec: { template: { spec: { containers: [a, b] } } } },
    {
      spec: {
        template: {
          spec: {
            '$setElementOrder/containers': [{ name: 'a' }, { name: 'b' }],
            containers: [{ env: [{ name: 'A', value: '1' }], name: 'a' }],
          },
        },
      },
    },
  )
  assert.deepEqual(next, {
    spec: {
      template: { spec: { containers: [{ ...a, env: [{ name: 'A', value: '1' }] }, b] } },
    },
  })
})

test('lists without a strategy are replaced, null deletes', () => {
  const target = { tolerations: [{ key: 'x' }], nodeName: 'n', containers: [] }
  assert.deepEqual(spec(target, { tolerations: [{ key: 'y' }], nodeName: null }), {
    tolerations: [{ key: 'y' }],
    containers: [],
  })
})

test('sets of scalars are united, and emptied by $deleteFromPrimitiveList', () => {
  const target = { metadata: { finalizers: ['a', 'b'] } }
  assert.deepEqual(merge(target, { metadata: { finalizers: ['b', 'c'] } }), {
    metadata: { finalizers: ['a', 'b', 'c'] },
  })
  assert.deepEqual(merge(target, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }), {
    metadata: { finalizers: ['b'] },
  })
})

test('$patch: delete and replace, in items, lists and maps', () => {
  const target = { containers: [a, b], nodeSelector: { k: 'v' } }
  assert.deepEqual(spec(target, { containers: [{ $patch: 'delete', name: 'a' }] }), {
    ...target,
    containers: [b],
  })
  assert.deepEqual(spec(target, { containers: [{ name: 'c' }, { $patch: 'replace' }] }), {
    ...target,
    containers: [{ name: 'c' }],
  })
  assert.deepEqual(spec(target, { nodeSelector: { $patch: 'replace', q: 'w' } }), {
    ...target,
    nodeSelector: { q: 'w' },
  })
  assert.deepEqual(spec(target, { nodeSelector: { $patch: 'delete' } }), { containers: [a, b] })
})

test('$retainKeys clears the others', () => {
  const volumes = [{ name: 'v', emptyDir: {} }]
  assert.deepEqual(
    spec(
      { volumes },
      { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] },
    ),
    { volumes: [{ name: 'v', hostPath: { path: '/x' } }] },
  )
})

test('$setElementOrder orders the listed; others stay before what they stood before', () => {
  const target = { containers: [a, b, { name: 'c' }] }
  assert.deepEqual(
    spec(target, {
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
      containers: [{ name: 'd' }],
    }),
    { containers: [b, { name: 'c' }, a, { name: 'd' }] },
  )
})

test('golden: what kubectl sends when one variable goes, one changes and one comes', () => {
  const env = [
    { name: 'A', value: '1' },
    { name: 'B', value: '2' },
    { name: 'S', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
  ]
  assert.deepEqual(
    spec(
      { containers: [{ ...a, env }] },
      {
        '$setElementOrder/containers': [{ name: 'a' }],
        containers: [
          {
            name: 'a',
            '$setElementOrder/env': [{ name: 'C' }, { name: 'B' }, { name: 'S' }],
            env: [
              { name: 'C', value: '3' },
              { name: 'B', value: '9' },
              { name: 'A', $patch: 'delete' },
              { name: 'S', value: 'plain', valueFrom: null },
            ],
          },
        ],
      },
    ),
    {
      containers: [
        {
          ...a,
          env: [
            { name: 'C', value: '3' },
            { name: 'B', value: '9' },
            { name: 'S', value: 'plain' },
          ],
        },
      ],
    },
  )
})

test('golden: another strategy of a Deployment keeps nothing of the one before', () => {
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  const deployment = (patch: object) =>
    strategicMerge(wholeSchema(Deployment), { spec: { replicas: 1, strategy } }, { spec: patch })
  assert.deepEqual(deployment({ strategy: { $retainKeys: ['type'], type: 'Recreate' } }), {
    spec: { replicas: 1, strategy: { type: 'Recreate' } },
  })
  assert.deepEqual(deployment({ strategy: { type: 'Recreate', rollingUpdate: null } }), {
    spec: { replicas: 1, strategy: { type: 'Recreate' } },
  })
  assert.throws(
    () => deployment({ strategy: { $retainKeys: ['type'], rollingUpdate: {} } }),
    /list of values for \$retainKeys must contain all the keys in the patch/,
  )
})

test('golden: a volume becomes another kind of volume, a port and a mount are found by their keys', () => {
  assert.deepEqual(
    spec(
      {
        volumes: [
          { name: 'v', emptyDir: {} },
          { name: 'w', emptyDir: {} },
        ],
      },
      { volumes: [{ name: 'v', $retainKeys: ['name', 'configMap'], configMap: { name: 'c' } }] },
    ),
    {
      volumes: [
        { name: 'v', configMap: { name: 'c' } },
        { name: 'w', emptyDir: {} },
      ],
    },
  )
  const ports = [{ containerPort: 80 }, { containerPort: 443, name: 'tls' }]
  const volumeMounts = [{ name: 'v', mountPath: '/a' }]
  assert.deepEqual(
    spec(
      { containers: [{ name: 'a', ports, volumeMounts }] },
      {
        containers: [
          {
            name: 'a',
            ports: [{ containerPort: 80, name: 'http' }],
            volumeMounts: [{ mountPath: '/a', readOnly: true }],
          },
        ],
      },
    ),
    {
      containers: [
        {
          name: 'a',
          ports: [{ containerPort: 80, name: 'http' }, ports[1]],
          volumeMounts: [{ name: 'v', mountPath: '/a', readOnly: true }],
        },
      ],
    },
  )
})

test('finalizers: taken away, added and ordered in one patch', () => {
  assert.deepEqual(
    merge(
      { metadata: { finalizers: ['a/x', 'a/y', 'a/z'] } },
      {
        metadata: {
          '$deleteFromPrimitiveList/finalizers': ['a/x'],
          '$setElementOrder/finalizers': ['a/z', 'a/new', 'a/y'],
          finalizers: ['a/new'],
        },
      },
    ),
    { metadata: { finalizers: ['a/z', 'a/new', 'a/y'] } },
  )
})

test('owner references meet by uid, conditions by type', () => {
  const owner = (uid: string, more: object = {}) => ({
    apiVersion: 'v1',
    kind: 'K',
    name: uid,
    uid,
    ...more,
  })
  assert.deepEqual(
    merge(
      { metadata: { ownerReferences: [owner('1'), owner('2')] } },
      {
        metadata: {
          ownerReferences: [{ uid: '1', $patch: 'delete' }, owner('2', { controller: true })],
        },
      },
    ),
    { metadata: { ownerReferences: [owner('2', { controller: true })] } },
  )
  assert.deepEqual(
    merge(
      {
        status: {
          conditions: [
            { type: 'Ready', status: 'False' },
            { type: 'x', status: 'True' },
          ],
        },
      },
      { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    ),
    {
      status: {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'x', status: 'True' },
        ],
      },
    },
  )
})

test('nonsense is refused', () => {
  assert.throws(
    () => spec({ containers: [a] }, { containers: [{ $patch: 'bad', name: 'c' }] }),
    /unknown patch type: bad in map: map\[\$patch:bad name:c\]/,
  )
  assert.throws(
    () => spec({ containers: [a] }, { containers: [{ image: 'x' }] }),
    /does not contain declared merge key: name/,
  )
})

test('property: merging an object into itself changes nothing; directives are never stored', () => {
  const container = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    image: fc.string(),
    env: fc.uniqueArray(fc.record({ name: fc.constantFrom('X', 'Y'), value: fc.string() }), {
      selector: ({ name }) => name,
    }),
  })
  const podSpec = fc.record({
    containers: fc.uniqueArray(container, { selector: ({ name }) => name }),
    nodeSelector: fc.dictionary(fc.constantFrom('k', 'l'), fc.string()),
    tolerations: fc.array(fc.record({ key: fc.string() })),
  })
  fc.assert(
    fc.property(podSpec, podSpec, fc.constantFrom('merge', 'replace', 'delete'), (x, y, $patch) => {
      assert.deepEqual(JSON.stringify(spec(x, x)), JSON.stringify(x))
      const patched = spec(x, {
        ...y,
        containers: y.containers.map((each) => ({ ...each, $patch })),
      })
      assert.ok(!JSON.stringify(patched).includes('$patch'))
    }),
  )
})

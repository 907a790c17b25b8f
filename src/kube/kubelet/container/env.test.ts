import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Pod } from '../../api/pod.ts'
import { commandLine, envReferences, expand, resolveEnv, type EnvWorld } from './env.ts'

const world: EnvWorld = {
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { 'a/b': 'label' } },
    spec: { containers: [], nodeName: 'node' },
  },
  configMap: (name) =>
    name === 'cm'
      ? {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name },
          data: { key: 'value', 'bad=name': 'x' },
        }
      : undefined,
  secret: (name) =>
    name === 's'
      ? { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { key: 'c2VjcmV0' } }
      : undefined,
  podIP: '10.0.0.2',
  hostIP: '10.0.0.1',
  allocatable: { cpu: '2', memory: '1Gi' },
}
const container = (fields: object) =>
  ({ name: 'c', image: 'c', ...fields }) as Pod['spec']['containers'][number]
const env = (fields: object, base = {}) => ({ ...resolveEnv(container(fields), base, world) })

test('later sources win: image, envFrom, env', () => {
  assert.deepEqual(
    env(
      {
        envFrom: [{ configMapRef: { name: 'cm' } }, { prefix: 'S_', secretRef: { name: 's' } }],
        env: [
          { name: 'ONE', value: '1' },
          { name: 'TWO', value: '$(ONE)$(key) $$(ONE) $(LATER)' },
          { name: 'LATER', value: 'x' },
        ],
      },
      { key: 'from image', KEPT: 'yes' },
    ),
    {
      key: 'value',
      KEPT: 'yes',
      S_key: 'secret',
      ONE: '1',
      TWO: '1value $(ONE) $(LATER)',
      LATER: 'x',
    },
  )
})

test('fields, resources and keys', () => {
  const from = (valueFrom: object) =>
    env({ env: [{ name: 'X', valueFrom }], resources: { limits: { memory: '64Mi' } } })['X']
  assert.equal(from({ fieldRef: { fieldPath: 'metadata.name' } }), 'p')
  assert.equal(from({ fieldRef: { fieldPath: "metadata.labels['a/b']" } }), 'label')
  assert.equal(from({ fieldRef: { fieldPath: 'status.podIP' } }), '10.0.0.2')
  assert.equal(from({ resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } }), '64')
  assert.equal(from({ resourceFieldRef: { resource: 'limits.cpu' } }), '2')
  assert.equal(from({ configMapKeyRef: { name: 'cm', key: 'key' } }), 'value')
  assert.equal(from({ secretKeyRef: { name: 's', key: 'key' } }), 'secret')
  assert.equal(from({ secretKeyRef: { name: 'none', key: 'key', optional: true } }), undefined)
})

const problems: readonly [object, string][] = [
  [{ configMapKeyRef: { name: 'nocm', key: 'k' } }, 'configmap "nocm" not found'],
  [{ configMapKeyRef: { name: 'cm', key: 'k' } }, "couldn't find key k in ConfigMap ns/cm"],
  [{ secretKeyRef: { name: 'nos', key: 'k' } }, 'secret "nos" not found'],
  [{ secretKeyRef: { name: 's', key: 'k' } }, "couldn't find key k in Secret ns/s"],
]
for (const [valueFrom, message] of problems)
  test(message, () =>
    assert.throws(() => env({ env: [{ name: 'X', valueFrom }] }), { name: 'ConfigError', message }),
  )

test('what an environment refers to', () => {
  const { configMaps, secrets } = envReferences(
    container({
      envFrom: [{ configMapRef: { name: 'a' } }, { secretRef: { name: 'b' } }],
      env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'c', key: 'k' } } }],
    }),
  )
  assert.deepEqual([[...configMaps], [...secrets]], [['a'], ['b', 'c']])
})

test('text without a dollar sign stays as it is; names from Object.prototype are no variables', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      if (!text.includes('$')) assert.equal(expand(text, {}), text)
    }),
  )
  assert.equal(env({ env: [{ name: 'X', value: '$(toString)' }] })['X'], '$(toString)')
})

test('what the pod says is expanded, the words of the image are left as they are', () => {
  const image = { entrypoint: ['sh', '-c', 'echo $$ $(A)'], cmd: ['$$', '$(A)'] }
  const line = (fields: object) => commandLine(fields, image, { A: 'a' })
  assert.deepEqual(line({}), ['sh', '-c', 'echo $$ $(A)', '$$', '$(A)'])
  assert.deepEqual(line({ args: ['$$', '$(A)'] }), ['sh', '-c', 'echo $$ $(A)', '$', 'a'])
  assert.deepEqual(line({ command: ['$(A)'] }), ['a'])
  assert.deepEqual(line({ command: ['$(A)'], args: ['$$(A)'] }), ['a', '$(A)'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PodSpec } from '../../../../kube/api/pod-spec.ts'
import { sinkVariables, unbound, withBinding, withVariables } from './environment.ts'

const variables = sinkVariables({ url: 'http://sink', caCerts: 'PEM' }, { extensions: { a: 'b' } })

test('all containers get the variables, after their own', () => {
  const pod: PodSpec = {
    initContainers: [{ name: 'i', image: 'x' }],
    containers: [
      {
        name: 'c',
        image: 'x',
        env: [
          { name: 'K_SINK', value: 'old' },
          { name: 'A', value: '1' },
        ],
      },
    ],
  }
  const bound = withVariables(pod, variables)
  const names = (env: PodSpec['containers'][number]['env']) => env?.map(({ name }) => name)
  assert.deepEqual(names(bound.containers[0]?.env), ['A', 'K_SINK', 'K_CA_CERTS', 'K_CE_OVERRIDES'])
  assert.deepEqual(bound.initContainers?.[0]?.env, [
    { name: 'K_SINK', value: 'http://sink' },
    { name: 'K_CA_CERTS', value: 'PEM' },
    { name: 'K_CE_OVERRIDES', value: '{"extensions":{"a":"b"}}' },
  ])
  assert.equal(withVariables(bound, variables), bound)
})

test('without overrides the variable is there and empty', () => {
  assert.deepEqual(sinkVariables({ url: 'http://sink' }, undefined), [
    { name: 'K_SINK', value: 'http://sink' },
    { name: 'K_CE_OVERRIDES', value: '' },
  ])
})

test('the same overrides in another order are no reason to start pods anew', () => {
  const text = (extensions: Record<string, string>) =>
    sinkVariables({ url: 'http://sink' }, { extensions }).at(-1)?.value
  assert.equal(text({ b: '1', a: '2' }), '{"extensions":{"a":"2","b":"1"}}')
})

test('binding twice is binding once, and taking back leaves what was there', () => {
  const variable = fc.record({ name: fc.constantFrom('A', 'B', 'PATH'), value: fc.string() })
  const container = fc.record({
    name: fc.constant('c'),
    image: fc.constant('x'),
    env: fc.array(variable, { maxLength: 4 }),
  })
  fc.assert(
    fc.property(fc.array(container, { minLength: 1, maxLength: 3 }), (containers) => {
      const pod: PodSpec = { containers }
      const bound = withVariables(pod, variables)
      assert.equal(withVariables(bound, variables), bound)
      const back = withVariables(bound, [])
      assert.deepEqual(
        back.containers.map(({ env = [] }) => env),
        containers.map(({ env }) => env),
      )
    }),
  )
})

test('a token and certificates are mounted in every container, and taken back', () => {
  const pod = {
    volumes: [{ name: 'own', emptyDir: {} }],
    initContainers: [{ name: 'i', image: 'x' }],
    containers: [{ name: 'c', image: 'x', volumeMounts: [{ name: 'own', mountPath: '/own' }] }],
  }
  const wanted = { variables: [], tokenSecret: 's-oidc-token', trustBundle: 'kne-bundle-combined' }
  const bound = withBinding(pod, wanted)
  assert.deepEqual(
    bound.volumes?.map(({ name }) => name),
    ['own', 'oidc-token', 'kne-bundle-combined'],
  )
  for (const { volumeMounts } of [...bound.containers, ...(bound.initContainers ?? [])])
    assert.deepEqual(
      volumeMounts?.filter(({ name }) => name !== 'own').map(({ mountPath }) => mountPath),
      ['/oidc', '/knative-custom-certs'],
    )
  assert.equal(withBinding(bound, wanted), bound)
  const renamed = withBinding(bound, { ...wanted, tokenSecret: 'other' })
  assert.equal(renamed.volumes?.[2]?.projected?.sources?.[0]?.secret?.name, 'other')
  assert.deepEqual(withBinding(bound, unbound), pod)
  assert.equal(withBinding(pod, unbound), pod)
})

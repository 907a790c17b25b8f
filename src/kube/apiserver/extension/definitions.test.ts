import assert from 'node:assert/strict'
import { test } from 'node:test'
import { coreKinds } from '../../api/kinds.ts'
import { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import type { Kind } from '../../api/kind.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { StatusError } from '../../api/status-error.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'

const Widget: Kind<UnknownObject> = {
  group: 'example.com',
  version: 'v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
}

const widgets = (more: object = {}, version: object = {}) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wg'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'string', enum: ['s', 'm'] },
                  replicas: { type: 'integer', default: 1, maximum: 5 },
                  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                },
              },
              status: { type: 'object', properties: { phase: { type: 'string' } } },
            },
          },
        },
        subresources: { status: {} },
        additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
        ...version,
      },
    ],
    ...more,
  },
})

const widget = (spec: object, name = 'a') => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'default' },
  spec,
})

const platform = () => inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })

const refusal = (code: number, message: RegExp | string) => (thrown: unknown) => {
  assert.ok(thrown instanceof StatusError, String(thrown))
  assert.equal(thrown.code, code)
  if (typeof message === 'string') assert.equal(thrown.message, message)
  else assert.match(thrown.message, message)
  return true
}

test('a definition is established when its POST is answered, and its kind is served at once', async () => {
  await using world = platform()
  const { client, api } = world
  const made = await client.create(CustomResourceDefinition, widgets() as never)
  assert.deepEqual(
    made.status?.conditions?.map(({ type, status }) => [type, status]),
    [
      ['NamesAccepted', 'True'],
      ['Established', 'True'],
    ],
  )
  assert.deepEqual(made.status?.storedVersions, ['v1'])
  const stored = await client.create(
    Widget,
    widget({ size: 's', extra: 1, free: { x: 1 } }) as never,
  )
  assert.deepEqual(stored['spec'], { size: 's', replicas: 1, free: { x: 1 } })
  assert.ok(api.find('example.com', 'v1', 'widgets'))
  await assert.rejects(
    client.create(Widget, widget({ size: 'xl', replicas: 9 }, 'b') as never),
    refusal(
      422,
      'Widget.example.com "b" is invalid: [spec.size: Unsupported value: "xl": supported values: "s", "m", spec.replicas: Invalid value: 9: spec.replicas in body should be less than or equal to 5]',
    ),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigMap } from '../../api/config-map.ts'
import { Deployment } from '../../api/deployment.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { StatusError } from '../../api/status-error.ts'
import { list, object, string } from '../../api/schema.ts'
import type { Schema } from '../../api/schema.ts'
import { wholeSchema } from '../../api/structural.ts'
import { fieldsOf } from '../values.ts'
import type { Fields } from '../values.ts'
import { applied } from './applying.ts'
import { configProblems } from './declared.ts'
import type { Entry } from './managers.ts'
import { fieldsIn, reconciled } from './ownership.ts'

interface State {
  readonly object: Fields
  readonly entries: readonly Entry[]
}

const empty: State = { object: { metadata: { name: 'x' } }, entries: [] }

function apply(
  kind: KindDefinition,
  { object, entries }: State,
  name: string,
  config: Fields,
  force = false,
): State {
  const schema = wholeSchema(kind)
  assert.deepEqual(configProblems(schema, config), [])
  return applied({
    schema,
    kind,
    live: object,
    entries,
    config,
    manager: { manager: name, operation: 'Apply', apiVersion: 'v1', subresource: '' },
    force,
    nowMs: 0,
  })
}

const owned = ({ entries }: State, name: string): unknown =>
  entries.find(({ manager }) => manager === name)?.fields

const data = (state: State): unknown => fieldsOf(state.object)['data']

const configMap = (values: Fields): Fields => ({ data: values })

test('what a manager says no longer goes, unless another holds it', () => {
  const one = apply(ConfigMap, empty, 'm1', configMap({ a: '1', b: '2' }))
  const two = apply(ConfigMap, one, 'm2', configMap({ b: '2', c: '3' }))
  assert.deepEqual(data(two), { a: '1', b: '2', c: '3' })
  const three = apply(ConfigMap, two, 'm1', configMap({ a: '1' }))
  assert.deepEqual(data(three), { a: '1', b: '2', c: '3' })
  const four = apply(ConfigMap, three, 'm2', configMap({ c: '3' }))
  assert.deepEqual(data(four), { a: '1', c: '3' })
  const five = apply(ConfigMap, four, 'm1', {})
  assert.deepEqual(data(five), { c: '3' })
  assert.equal(owned(five, 'm1'), undefined)
  assert.deepEqual(owned(five, 'm2'), { 'f:data': { 'f:c': {} } })
  assert.equal(data(apply(ConfigMap, five, 'm2', {})), undefined)
})

test('a conflict names the fields and those who hold them; force takes them', () => {
  const one = apply(ConfigMap, empty, 'm1', configMap({ a: '1', b: '2' }))
  const refusal = (values: Fields): StatusError => {
    try {
      apply(ConfigMap, one, 'm2', configMap(values))
    } catch (thrown) {
      if (thrown instanceof StatusError) return thrown
      throw thrown
    }
    throw new Error('applied')
  }
  const single = refusal({ a: '9', b: '2' })
  assert.equal(single.message, 'Apply failed with 1 conflict: conflict with "m1": .data.a')
  assert.equal(single.code, 409)
  assert.deepEqual(single.details.causes, [
    { reason: 'FieldManagerConflict', message: 'conflict with "m1"', field: '.data.a' },
  ])
  assert.equal(
    refusal({ a: '9', b: '8' }).message,
    'Apply failed with 2 conflicts: conflicts with "m1":\n- .data.a\n- .data.b',
  )
  const forced = apply(ConfigMap, one, 'm2', configMap({ a: '9' }), true)
  assert.deepEqual(data(forced), { a: '9', b: '2' })
  assert.deepEqual(owned(forced, 'm1'), { 'f:data': { 'f:b': {} } })
  assert.deepEqual(owned(forced, 'm2'), { 'f:data': { 'f:a': {} } })
})

const deployment = (containers: readonly Fields[], more: Fields = {}): Fields => ({
  spec: { template: { spec: { containers, ...more } } },
})
const containersOf = (state: State): unknown =>
  fieldsOf(fieldsOf(fieldsOf(state.object['spec'])['template'])['spec'])['containers']

test('keyed lists: items meet by their keys, defaults of keys count, an item goes whole', () => {
  const one = apply(
    Deployment,
    empty,
    'm1',
    deployment([
      { name: 'a', image: 'x', ports: [{ containerPort: 80 }] },
      { name: 'b', image: 'y' },
    ]),
  )
  assert.deepEqual(owned(one, 'm1'), {
    'f:spec': {
      'f:template': {
        'f:spec': {
          'f:containers': {
            'k:{"name":"a"}': {
              '.': {},
              'f:image': {},
              'f:name': {},
              'f:ports': {
                'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} },
              },
            },
            'k:{"name":"b"}': { '.': {}, 'f:image': {}, 'f:name': {} },
          },
        },
      },
    },
  })
  const two = apply(
    Deployment,
    one,
    'm2',
    deployment([{ name: 'a', env: [{ name: 'A', value: '1' }] }]),
  )
  const env = [{ name: 'A', value: '1' }]
  assert.deepEqual(containersOf(two), [
    { name: 'a', image: 'x', ports: [{ containerPort: 80 }], env },
    { name: 'b', image: 'y' },
  ])
  const three = apply(Deployment, two, 'm1', deployment([{ name: 'a', image: 'x' }]))
  assert.deepEqual(containersOf(three), [{ name: 'a', image: 'x', env }])
  assert.throws(
    () => apply(Deployment, three, 'm3', deployment([{ name: 'a', image: 'z' }])),
    /conflict with "m1": \.spec\.template\.spec\.containers\[name="a"\]\.image/,
  )
})

test('the order is the configuration’s; what others brought keeps its place', () => {
  const one = apply(
    Deployment,
    empty,
    'm1',
    deployment([{ name: 'a' }, { name: 'b' }, { name: 'c' }]),
  )
  const two = apply(Deployment, one, 'm2', deployment([{ name: 'd' }, { name: 'b' }]))
  const names = (state: State) =>
    (containersOf(state) as readonly Fields[]).map((each) => each['name'])
  assert.deepEqual(names(two), ['a', 'd', 'b', 'c'])
  const three = apply(Deployment, two, 'm2', deployment([{ name: 'b' }, { name: 'd' }]))
  assert.deepEqual(names(three), ['a', 'b', 'd', 'c'])
})

test('where the schema has come to take a list whole, who owned a part of it owns it', () => {
  const parts = (type: 'atomic' | 'map'): Schema =>
    object({
      spec: object({
        parts: list(object({ name: string(), value: string() }), {
          'x-kubernetes-list-type': type,
          ...(type === 'map' && { 'x-kubernetes-list-map-keys': ['name'] }),
        }),
      }),
    })
  const value = { spec: { parts: [{ name: 'a', value: '1' }] } }
  const before = fieldsIn(parts('map'), value)
  assert.deepEqual(reconciled(parts('map'), value, before), before)
  assert.deepEqual(reconciled(parts('atomic'), value, before), { 'f:spec': { 'f:parts': {} } })
})

test('sets are merged by value', () => {
  const finalizers = (...names: string[]): Fields => ({ metadata: { finalizers: names } })
  const one = apply(ConfigMap, empty, 'm1', finalizers('a/x', 'a/y'))
  const two = apply(ConfigMap, one, 'm2', finalizers('a/y', 'a/z'))
  assert.deepEqual(fieldsOf(two.object['metadata'])['finalizers'], ['a/x', 'a/y', 'a/z'])
  const three = apply(ConfigMap, two, 'm1', {})
  assert.deepEqual(fieldsOf(three.object['metadata'])['finalizers'], ['a/y', 'a/z'])
})

test('kubectl takes over what its own annotation says it applied', () => {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration'
  const last = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x' }, data: { a: '1' } }
  const live: State = {
    object: {
      metadata: { name: 'x', annotations: { [annotation]: JSON.stringify(last) } },
      data: { a: '1', b: '1' },
    },
    entries: [
      {
        manager: 'kubectl-client-side-apply',
        operation: 'Update',
        apiVersion: 'v1',
        subresource: '',
        time: undefined,
        fields: { 'f:data': { 'f:a': {}, 'f:b': {} } },
      },
    ],
  }
  const next = apply(ConfigMap, live, 'kubectl', configMap({ a: '2' }))
  assert.deepEqual(data(next), { a: '2', b: '1' })
  const kept = fieldsOf(fieldsOf(next.object['metadata'])['annotations'])[annotation]
  assert.match(String(kept), /"a":"2"/)
  assert.throws(
    () => apply(ConfigMap, live, 'kubectl', configMap({ b: '2' })),
    /conflict with "kubectl-client-side-apply" using v1: \.data\.b/,
  )
  assert.throws(() => apply(ConfigMap, live, 'other', configMap({ a: '2' })), /\.data\.a/)
})

test('what is wrong with a configuration, in the words of Kubernetes', () => {
  const problems = (config: Fields): string[] => configProblems(wholeSchema(Deployment), config)
  assert.deepEqual(problems({ bogus: 1 }), ['.bogus: field not declared in schema'])
  assert.deepEqual(problems({ spec: { replicas: 'x' } }), [
    '.spec.replicas: expected numeric (int or float), got &value.valueUnstructured{Value:"x"}',
  ])
  assert.deepEqual(problems(deployment([{ image: 'x' }])), [
    '.spec.template.spec.containers: element 0: associative list with keys has an element that omits key field "name" (and doesn\'t have default value)',
  ])
  assert.deepEqual(problems(deployment([{ name: 'a' }, { name: 'a' }])), [
    '.spec.template.spec.containers: duplicate entries for key [name="a"]',
  ])
  assert.deepEqual(problems(deployment([{ name: 'a', resources: { requests: { cpu: 1 } } }])), [])
})

const container = fc.record(
  {
    name: fc.constantFrom('a', 'b', 'c'),
    image: fc.constantFrom('x', 'y'),
    args: fc.array(fc.constantFrom('p', 'q'), { maxLength: 2 }),
    env: fc.uniqueArray(
      fc.record({ name: fc.constantFrom('X', 'Y'), value: fc.constantFrom('1', '2') }),
      { selector: ({ name }) => name },
    ),
  },
  { requiredKeys: ['name'] },
)
const config = fc.record(
  {
    metadata: fc.record(
      { labels: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('1', '2')) },
      { requiredKeys: [] },
    ),
    spec: fc.record(
      {
        replicas: fc.integer({ min: 0, max: 3 }),
        template: fc.record({
          spec: fc.record({
            containers: fc.uniqueArray(container, { selector: ({ name }) => name }),
          }),
        }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
)

test('property: applying twice is applying once; alone, the object is the configuration', () => {
  fc.assert(
    fc.property(config, config, config, (first, second, third) => {
      const before = apply(Deployment, apply(Deployment, empty, 'a', first), 'b', second, true)
      const once = apply(Deployment, before, 'a', third, true)
      const twice = apply(Deployment, once, 'a', third)
      assert.equal(JSON.stringify(twice), JSON.stringify(once))
    }),
  )
})

test('property: managers that speak of different fields never conflict, and their orders do not matter', () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 2 })
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 5 }), (all, at) => {
      const pick = (names: readonly string[]): Fields =>
        configMap(Object.fromEntries(names.map((name) => [name, name])))
      const [mine, theirs] = [pick(all.slice(0, at)), pick(all.slice(at))]
      const one = apply(ConfigMap, apply(ConfigMap, empty, 'm1', mine), 'm2', theirs)
      const two = apply(ConfigMap, apply(ConfigMap, empty, 'm2', theirs), 'm1', mine)
      assert.deepEqual(data(one), data(two))
      assert.deepEqual(owned(one, 'm1'), owned(two, 'm1'))
    }),
  )
})

test('property: with maps of values the result is what a model says', () => {
  const name = fc.constantFrom('m1', 'm2', 'm3')
  const values = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), {
    maxKeys: 3,
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(name, values), { maxLength: 10 }), (steps) => {
      let state = empty
      const model = new Map<string, { value: string; owners: Set<string> }>()
      for (const [manager, wish] of steps) {
        state = apply(ConfigMap, state, manager, configMap(wish), true)
        for (const [key, held] of model) {
          if (Object.hasOwn(wish, key)) continue
          if (held.owners.delete(manager) && held.owners.size === 0) model.delete(key)
        }
        for (const [key, value] of Object.entries(wish)) {
          const held = model.get(key)
          if (held?.value === value) held.owners.add(manager)
          else model.set(key, { value, owners: new Set([manager]) })
        }
        const wanted = Object.fromEntries([...model].map(([key, { value }]) => [key, value]))
        assert.deepEqual({ ...fieldsOf(data(state)) }, wanted)
      }
    }),
  )
})

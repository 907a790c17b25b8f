import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Deployment } from './deployment.ts'
import {
  anything,
  boolean,
  integer,
  intOrString,
  list,
  map,
  object,
  string,
  type Schema,
} from './schema.ts'
import {
  applyDefaults,
  decodeProblem,
  prune,
  typeErrors,
  unknownFields,
  wholeSchema,
} from './structural.ts'

const schema = object(
  {
    size: string({ enum: ['s', 'm'], default: 's' }),
    replicas: integer({ minimum: 1, maximum: 5 }),
    port: intOrString(),
    on: boolean(),
    pattern: string({ pattern: '^a+$', maxLength: 3 }),
    labels: map(string()),
    free: anything(),
    maybe: string({ nullable: true }),
    items: list(
      object({ name: string(), count: integer({ default: 1 }) }, { required: ['name'] }),
      {
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        maxItems: 3,
      },
    ),
    nested: object({ mode: string({ default: 'auto' }) }),
    tags: list(string(), { 'x-kubernetes-list-type': 'set' }),
  },
  { required: ['replicas'] },
)

test('unknown fields are named by their paths and pruned, known ones are not', () => {
  const value = {
    replicas: 1,
    bogus: 1,
    labels: { any: 'x' },
    free: { what: { ever: 1 } },
    items: [{ name: 'a' }, { name: 'b', extra: true }],
    nested: { other: {} },
  }
  assert.deepEqual(unknownFields(schema, value), ['bogus', 'items[1].extra', 'nested.other'])
  assert.deepEqual(prune(schema, value), {
    replicas: 1,
    labels: { any: 'x' },
    free: { what: { ever: 1 } },
    items: [{ name: 'a' }, { name: 'b' }],
    nested: {},
  })
})

test('defaults fill absent fields of objects that are there, nulls stand for absent', () => {
  assert.deepEqual(applyDefaults(schema, { items: [{ name: 'a' }], nested: {} }), {
    size: 's',
    items: [{ name: 'a', count: 1 }],
    nested: { mode: 'auto' },
  })
  assert.deepEqual(
    applyDefaults(schema, { size: null, on: null, maybe: null, free: { a: null } }),
    {
      size: 's',
      maybe: null,
      free: { a: null },
    },
  )
})

test('complaints are in the words of Kubernetes', () => {
  const texts = (value: unknown) =>
    typeErrors(schema, value).map(({ field, detail }) => `${field}: ${detail}`)
  assert.deepEqual(texts({ replicas: 9 }), [
    'replicas: Invalid value: 9: replicas in body should be less than or equal to 5',
  ])
  assert.deepEqual(texts({ replicas: 1, size: 'xl' }), [
    'size: Unsupported value: "xl": supported values: "s", "m"',
  ])
  assert.deepEqual(texts({ replicas: 1, pattern: 'bbbb' }), [
    'pattern: Too long: may not be more than 3 bytes',
    'pattern: Invalid value: "bbbb": pattern in body should match \'^a+$\'',
  ])
  assert.deepEqual(texts({}), ['replicas: Required value'])
  assert.deepEqual(texts({ replicas: 1, items: [{ name: 'a' }, {}] }), [
    'items[1].name: Required value',
  ])
  assert.deepEqual(texts({ replicas: 1, nested: 'x' }), [
    'nested: Invalid value: "string": nested in body must be of type object: "string"',
  ])
  assert.deepEqual(texts({ replicas: 1, items: [{ name: 'a' }, { name: 'a' }] }), [
    'items[1]: Duplicate value: map[string]interface {}{"name": "a"}',
  ])
  assert.deepEqual(texts({ replicas: 1, tags: ['a', 'b', 'a'] }), ['tags[2]: Duplicate value: "a"'])
  assert.deepEqual(texts({ replicas: 1, port: 'http', on: null }), [])
  assert.equal(texts({ replicas: 1, port: true }).length, 1)
})

test("a wrong type in a built-in kind is said as Go's decoder says it", () => {
  const whole = wholeSchema(Deployment)
  const problem = (value: unknown) => decodeProblem(whole, value, 'Deployment')
  assert.equal(
    problem({ spec: { replicas: 'x' } }),
    'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
  )
  assert.equal(
    problem({ spec: { template: { spec: { containers: {} } } } }),
    'json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container',
  )
  assert.equal(
    problem({ metadata: { labels: { a: 1 } } }),
    'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string',
  )
  assert.match(
    problem({
      spec: { template: { spec: { containers: [{ resources: { limits: { cpu: 'much' } } }] } } },
    }) ?? '',
    /^quantities must match/,
  )
  assert.equal(problem({ metadata: { creationTimestamp: null }, spec: null }), undefined)
  assert.equal(
    typeErrors(whole, { metadata: {}, spec: {} }).length,
    0,
    'what is required inside is left to the kind',
  )
})

test('values nested without end are refused, not followed', () => {
  const deep: { next?: unknown } = {}
  const recursive: Schema = { type: 'object', properties: {} }
  Object.assign(recursive.properties ?? {}, { next: recursive })
  let at = deep
  for (let i = 0; i < 10_000; i++) at = (at.next = {}) as typeof deep
  assert.match(typeErrors(recursive, deep)[0]?.detail ?? '', /nested too deeply/)
  assert.equal(decodeProblem(recursive, deep), 'json: exceeded max depth')
  assert.deepEqual(unknownFields(recursive, deep), [])
  assert.equal(applyDefaults(recursive, deep), deep)
})

/** Anything at all, in the shape of the schema now and then. */
const junk = fc.jsonValue({ maxDepth: 4 })
const field = fc.constantFrom(
  'size',
  'replicas',
  'items',
  'nested',
  'labels',
  'free',
  'x',
  '__proto__',
)
const value = fc.oneof(
  junk,
  fc.array(fc.tuple(field, junk)).map((entries) => Object.fromEntries(entries)),
)

test('pruning leaves nothing unknown, defaulting nothing to default; neither touches its input', () => {
  fc.assert(
    fc.property(value, (input) => {
      const before = JSON.stringify(input)
      const pruned = prune(schema, input)
      assert.deepEqual(unknownFields(schema, pruned), [])
      assert.equal(prune(schema, pruned), pruned, 'the same reference when nothing changes')
      const defaulted = applyDefaults(schema, pruned)
      assert.equal(applyDefaults(schema, defaulted), defaulted)
      assert.deepEqual(unknownFields(schema, defaulted), [])
      typeErrors(schema, defaulted)
      decodeProblem(schema, defaulted)
      assert.equal(JSON.stringify(input), before)
    }),
  )
})

/** Definitions and objects that mean harm: refused in words, in bounded time; never an internal error. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import type { Kind } from '../../api/kind.ts'
import { coreKinds } from '../../api/kinds.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { StatusError } from '../../api/status-error.ts'
import { jsonPath, JsonPathError } from './json-path.ts'

const platform = () => inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })

const definition = (plural: string, openAPIV3Schema: unknown): CustomResourceDefinition =>
  ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.hostile.example.com` },
    spec: {
      group: 'hostile.example.com',
      scope: 'Cluster',
      names: { plural, kind: plural[0]?.toUpperCase() + plural.slice(1) },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  }) as unknown as CustomResourceDefinition

const kindOf = (plural: string): Kind<UnknownObject> => ({
  group: 'hostile.example.com',
  version: 'v1',
  kind: plural[0]?.toUpperCase() + plural.slice(1),
  plural,
  namespaced: false,
})

const object = (plural: string, spec: unknown): UnknownObject => ({
  apiVersion: 'hostile.example.com/v1',
  kind: kindOf(plural).kind,
  metadata: { name: 'x' },
  spec,
})

const nested = (depth: number, inside: object): object =>
  Array.from({ length: depth }).reduce<object>(
    (below) => ({ type: 'object', properties: { a: below } }),
    inside,
  )

test('schemas without end are refused', async () => {
  await using world = platform()
  const refused = (schema: unknown, message: RegExp) =>
    assert.rejects(
      world.client.create(CustomResourceDefinition, definition('deeps', schema)),
      (thrown: unknown) =>
        thrown instanceof StatusError && thrown.code < 500 && message.test(thrown.message),
    )
  await refused(nested(90, { type: 'string' }), /nested more than 64 levels deep/)
  const not = Array.from({ length: 90 }).reduce<object>((below) => ({ not: below }), {})
  await refused({ type: 'object', ...not }, /nested more than 64 levels deep/)
  const wide = Object.fromEntries(
    Array.from({ length: 100_001 }, (_, i) => [`f${i}`, { type: 'string' }]),
  )
  await refused({ type: 'object', properties: wide }, /more than 100000 places/)
})

test('patterns that explode elsewhere take no time', async () => {
  await using world = platform()
  await world.client.create(
    CustomResourceDefinition,
    definition('patterns', {
      type: 'object',
      properties: { spec: { type: 'string', pattern: '^(a+)+$' } },
    }),
  )
  await assert.rejects(
    world.client.create(kindOf('patterns'), object('patterns', `${'a'.repeat(50_000)}!`)),
    /should match/,
  )
})

test('a rule that would take for ever ends with its budget', async () => {
  await using world = platform()
  await world.client.create(
    CustomResourceDefinition,
    definition('loops', {
      type: 'object',
      properties: {
        spec: {
          type: 'array',
          items: { type: 'integer' },
          'x-kubernetes-validations': [
            { rule: 'self.all(a, self.all(b, self.all(c, self.all(d, a + b + c + d >= 0))))' },
          ],
        },
      },
    }),
  )
  const many = Array.from({ length: 500 }, (_, i) => i)
  await assert.rejects(
    world.client.create(kindOf('loops'), object('loops', many)),
    /cost budget, no further validation rules will be run/,
  )
})

test('hundreds of large definitions cost little until they are used', async () => {
  await using world = platform()
  const large = Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [
      `field${i}`,
      { type: 'string', description: 'A field that is described at some length.'.repeat(3) },
    ]),
  )
  for (let i = 0; i < 200; i++)
    await world.client.create(
      CustomResourceDefinition,
      definition(`k${i}s`, {
        type: 'object',
        properties: { spec: { type: 'object', properties: large } },
      }),
    )
  const made = await world.client.create(
    kindOf('k199s'),
    object('k199s', { field3: 'x', other: 1 }),
  )
  assert.deepEqual(made['spec'], { field3: 'x' })
})

const junk = fc.jsonValue({ maxDepth: 4 })
const keyword = fc.constantFrom(
  'type',
  'properties',
  'items',
  'additionalProperties',
  'anyOf',
  'not',
  'default',
  'enum',
  'required',
  'pattern',
  'format',
  'maximum',
  'nullable',
  'x-kubernetes-validations',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
)
const anyRule = fc.record(
  {
    rule: fc.oneof(
      junk,
      fc.constantFrom('self == oldSelf', 'has(self.a)', 'self.size() > 1', 'true'),
    ),
    message: junk,
    messageExpression: fc.oneof(junk, fc.constantFrom("'x'", 'self.a')),
    reason: junk,
    fieldPath: fc.oneof(junk, fc.constantFrom('.a', '.b.c')),
    optionalOldSelf: fc.oneof(junk, fc.boolean()),
  },
  { requiredKeys: [] },
)
const anySchema: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small' },
    fc.record({ type: fc.constantFrom('object', 'array', 'string', 'integer') }),
    fc
      .tuple(
        fc.constantFrom('object', 'array', 'string', 'integer'),
        fc.dictionary(
          keyword,
          fc.oneof(
            junk,
            tie('schema'),
            fc.array(tie('schema'), { maxLength: 2 }),
            fc.array(anyRule, { maxLength: 2 }),
          ),
          {
            maxKeys: 4,
          },
        ),
        fc.dictionary(fc.constantFrom('a', 'b', '__proto__'), tie('schema'), { maxKeys: 2 }),
      )
      .map(([type, more, properties]) => ({ type, properties, ...more })),
  ),
})).schema

test('any schema and any object are taken or refused', async () => {
  await using world = platform()
  let at = 0
  const orRefused = async (work: () => Promise<unknown>) => {
    try {
      await work()
    } catch (thrown) {
      assert.ok(thrown instanceof StatusError && thrown.code < 500, String(thrown))
    }
  }
  await fc.assert(
    fc.asyncProperty(anySchema, junk, async (spec, value) => {
      const plural = `fuzz${at++}s`
      await orRefused(() =>
        world.client.create(
          CustomResourceDefinition,
          definition(plural, { type: 'object', properties: { spec } }),
        ),
      )
      await orRefused(() => world.client.create(kindOf(plural), object(plural, value)))
    }),
    { numRuns: 300 },
  )
})

test('any path is a path or is refused', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc
          .array(
            fc.constantFrom(
              '.a',
              '..b',
              '[*]',
              '[0]',
              '[-1:]',
              '[?(@.x=="y")]',
              "['c']",
              '.',
              '[',
              '\\',
            ),
          )
          .map((parts) => parts.join('')),
      ),
      junk,
      (text, value) => {
        try {
          jsonPath(text)(value)
        } catch (thrown) {
          assert.ok(thrown instanceof JsonPathError, String(thrown))
        }
      },
    ),
    { numRuns: 500 },
  )
})

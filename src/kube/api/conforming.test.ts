import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { conforms } from './conforming.ts'
import { Deployment } from './deployment.ts'
import { Pod } from './pod.ts'
import type { Schema } from './schema.ts'
import {
  applyDefaults,
  decodeProblem,
  prune,
  typeErrors,
  unknownFields,
  wholeSchema,
} from './structural.ts'

/** What `conforms` stands for, found out the long way. */
const isUntouched = (schema: Schema, value: unknown): boolean =>
  unknownFields(schema, value).length === 0 &&
  decodeProblem(schema, value) === undefined &&
  typeErrors(schema, value).length === 0 &&
  prune(schema, value) === value &&
  applyDefaults(schema, value) === value

const schema: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 3, pattern: '^[a-z]*$' },
    size: { type: 'integer', format: 'int32', minimum: -3, maximum: 3 },
    mode: { type: 'string', enum: ['a', 'b'] },
    when: { type: 'string', format: 'date-time', nullable: true },
    either: { 'x-kubernetes-int-or-string': true },
    any: { 'x-kubernetes-preserve-unknown-fields': true },
    inner: {
      type: 'object',
      properties: { on: { type: 'boolean', default: true }, off: { type: 'boolean' } },
    },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    map: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: { type: 'object', properties: { type: { type: 'string' } } },
    },
  },
}

const leaf = fc.oneof(
  fc.constantFrom('', 'a', 'abcd', 'A', '2026-01-01T00:00:00Z', 0, 2, 7, 1.5, true, null),
  fc.constantFrom<unknown>({}, [], { on: true }, { off: false }, { type: 'x' }),
)
const field = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 3 }),
  fc.dictionary(fc.constantFrom('a', 'on'), leaf),
)
const names = [...Object.keys(schema.properties ?? {}), 'other']

test('a value conforms exactly when no walk finds anything to say or to change', () => {
  let good = 0
  fc.assert(
    fc.property(
      fc.constantFrom('a', 'abc', 'abcd'),
      fc.constantFrom(...names),
      field,
      (name, at, value) => {
        const made = { name, [at]: value }
        const expected = isUntouched(schema, made)
        if (expected) good++
        assert.equal(conforms(schema, made), expected, JSON.stringify(made))
      },
    ),
    { numRuns: 800 },
  )
  assert.ok(good > 40, `only ${good} of the values were good ones`)
})

test('what controllers write conforms; one flaw anywhere does not', () => {
  const status = {
    phase: 'Running',
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', labels: { b: 'c' } }, status }
  const whole = wholeSchema(Pod)
  assert.equal(conforms(whole, pod), true)
  const flawed: readonly object[] = [
    { ...pod, metadata: { name: 1 } },
    { ...pod, metadata: { name: 'a', labels: { b: 1 } } },
    { ...pod, metadata: { name: 'a', color: 'red' } },
    { ...pod, status: { ...status, color: 'red' } },
    { ...pod, status: { ...status, phase: null } },
    { ...pod, status: { ...status, conditions: [null] } },
    { ...pod, status: { ...status, startTime: 'yesterday' } },
  ]
  for (const flaw of flawed) {
    assert.equal(conforms(whole, flaw), false, JSON.stringify(flaw))
    assert.equal(isUntouched(whole, flaw), false, JSON.stringify(flaw))
  }
  assert.equal(
    conforms(wholeSchema(Deployment), {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      status: { replicas: 1 },
    }),
    true,
  )
})

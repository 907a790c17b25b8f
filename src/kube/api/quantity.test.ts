import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  canonicalQuantity,
  compareQuantities,
  parseQuantity,
  quantityProblem,
  quantityValue,
} from './quantity.ts'

test('quantities are stored in their canonical spelling', () => {
  const cases = [
    ['0.5', '500m'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['0.5Gi', '512Mi'],
    ['100000m', '100'],
    ['1000', '1k'],
    ['1e3', '1e3'],
    ['100e1', '1e3'],
    ['0.3Ki', '307200m'],
    ['512Ki', '512Ki'],
    ['1000Ki', '1000Ki'],
    ['0', '0'],
    ['0Gi', '0'],
    ['.5', '500m'],
    ['5.', '5'],
    ['-1.5', '-1500m'],
    ['0.0000000001', '1n'],
    ['1E', '1E'],
    ['1e999999999', '9223372036854775807'],
  ] as const
  for (const [from, to] of cases) assert.equal(canonicalQuantity(from), to, from)
  assert.equal(canonicalQuantity(2), '2')
})

test('what is no quantity is said to be none', () => {
  for (const text of ['', '.', 'x', '1 Gi', '1gi', '1Kii', '0x10', '1e', '--1', 'Infinity', '1m1'])
    assert.match(quantityProblem(text) ?? '', /^quantities must match/, text)
  for (const value of [null, true, {}, [], Number.NaN, Number.POSITIVE_INFINITY])
    assert.notEqual(quantityProblem(value), undefined)
})

const suffix = fc.constantFrom(
  '',
  'n',
  'u',
  'm',
  'k',
  'M',
  'G',
  'Ki',
  'Mi',
  'Gi',
  'e3',
  'e-3',
  'E2',
)
const quantity = fc
  .tuple(fc.integer({ min: -1e6, max: 1e6 }), fc.nat(999), suffix)
  .map(([whole, fraction, unit]) => `${whole}.${fraction}${unit}`)

test('the canonical spelling is of the same value and canonical itself', () => {
  fc.assert(
    fc.property(quantity, (text) => {
      const canonical = canonicalQuantity(text)
      assert.equal(parseQuantity(canonical)?.nanos, parseQuantity(text)?.nanos)
      assert.equal(canonicalQuantity(canonical), canonical)
      assert.equal(compareQuantities(text, canonical), 0)
    }),
  )
})

test('quantities compare as their values do', () => {
  assert.ok(compareQuantities('100m', '1') < 0)
  assert.ok(compareQuantities('1Gi', '1G') > 0)
  assert.equal(quantityValue('250m'), 0.25)
  assert.equal(quantityValue('1Ki'), 1024)
  assert.ok(Number.isNaN(quantityValue('many')))
})

test('any text is either refused or canonicalised, in no time', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80 }), (text) => {
      const parsed = parseQuantity(text)
      if (parsed) assert.equal(parseQuantity(canonicalQuantity(text))?.nanos, parsed.nanos)
    }),
  )
})

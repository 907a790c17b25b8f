import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilter, type FilterSpec, type Filtering } from './filters.ts'

const event = {
  attributes: {
    specversion: '1.0',
    id: '1',
    source: '/orders/eu',
    type: 'dev.example.order.placed',
    datacontenttype: 'application/json; charset=utf-8',
    dataschema: 'https://example.dev/s',
    priority: 5,
    blank: '',
  },
}
const refused = (spec: Filtering) => compileFilter(spec)(event)
const passes = (...filters: readonly FilterSpec[]) => refused({ filters }) === undefined

test('attributes: each entry is met, an empty value by anything', () => {
  const by = (attributes: Record<string, string>) => refused({ filter: { attributes } })
  assert.equal(refused({}), undefined)
  assert.equal(refused({ filter: {} }), undefined)
  assert.equal(by({ type: 'dev.example.order.placed', source: '/orders/eu' }), undefined)
  assert.equal(by({ priority: '5' }), undefined)
  assert.equal(by({ type: '' }), undefined)
  assert.equal(
    by({ schemaurl: 'https://example.dev/s', datamediatype: 'application/json' }),
    undefined,
  )
  const { dataschema: schemaurl, ...others } = event.attributes
  const old = { ...others, schemaurl, specversion: '0.3', datacontenttype: 'Text/XML; a=B' }
  for (const [name, value] of [
    ['dataschema', schemaurl],
    ['schemaurl', schemaurl],
    ['datamediatype', 'text/xml'],
    ['datacontenttype', 'Text/XML; a=B'],
  ] as const) {
    const filter = compileFilter({ filters: [{ exact: { [name]: value } }] })
    assert.equal(filter({ attributes: old }), undefined, name)
  }
  assert.deepEqual(by({ type: 'Dev.example.order.placed' }), {
    term: 'filter.attributes.type',
    wanted: 'Dev.example.order.placed',
    found: 'dev.example.order.placed',
  })
  assert.deepEqual(by({ nope: '' }), { term: 'filter.attributes.nope', wanted: 'any' })
  assert.deepEqual(by({ blank: '' }), { term: 'filter.attributes.blank', wanted: 'any', found: '' })
  assert.ok(by({ subject: '' }))
})

test('filters, where there are any, are all that counts', () => {
  const filter = { attributes: { type: 'nope' } }
  assert.equal(refused({ filter, filters: [{ exact: { id: '1' } }] }), undefined)
  assert.ok(refused({ filter, filters: [] }))
})

test('each dialect', () => {
  assert.ok(passes({ exact: { id: '1', priority: '5' } }))
  assert.ok(!passes({ exact: { id: '1', priority: '6' } }))
  assert.ok(!passes({ exact: { missing: '' } }))
  assert.ok(passes({ prefix: { type: 'dev.', source: '/orders' } }))
  assert.ok(!passes({ prefix: { type: 'com.' } }))
  assert.ok(passes({ suffix: { type: '.placed' } }))
  assert.ok(!passes({ suffix: { missing: 'x' } }))
  assert.ok(passes({ all: [{ exact: { id: '1' } }, { prefix: { type: 'dev' } }] }))
  assert.ok(passes({ any: [{ exact: { id: '2' } }, { prefix: { type: 'dev' } }] }))
  assert.ok(!passes({ any: [{ exact: { id: '2' } }, { exact: { id: '3' } }] }))
  assert.ok(passes({ not: { exact: { id: '2' } } }))
  assert.ok(!passes({ not: { exact: { id: '1' } } }))
  assert.ok(passes({ cesql: "priority > 4 AND type LIKE '%.order.%'" }))
  assert.ok(!passes({ cesql: 'missing = 1' }))
  assert.ok(!passes({ cesql: 'id' }))
  assert.ok(passes({}, { all: [{}] }, { any: [{}, { exact: { id: '2' } }] }, { not: {} }))
})

test('a refusal names the term and what the event had', () => {
  assert.deepEqual(
    refused({ filters: [{ all: [{ exact: { id: '1' } }, { prefix: { type: 'com.' } }] }] }),
    { term: 'filters[0].all[1].prefix.type', wanted: 'com.', found: 'dev.example.order.placed' },
  )
  assert.deepEqual(refused({ filters: [{ cesql: 'missing = 1' }] }), {
    term: 'filters[0].cesql',
    wanted: 'missing = 1',
    problem: 'attribute missing is not set',
  })
  assert.equal(refused({ filters: [{ not: { exact: { id: '1' } } }] })?.term, 'filters[0].not')
})

const leaf = fc.constantFrom<FilterSpec>(
  { exact: { id: '1' } },
  { exact: { id: '2' } },
  { prefix: { type: 'dev' } },
  { suffix: { type: 'x' } },
  { cesql: "id = '1'" },
  { cesql: 'missing' },
)
const { tree } = fc.letrec<{ tree: FilterSpec }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.record({ all: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('tree') }),
  ),
}))

test('all, any and not obey the laws of De Morgan', () => {
  fc.assert(
    fc.property(tree, tree, (a, b) => {
      assert.equal(passes({ not: a }), !passes(a))
      assert.equal(passes({ all: [a, b] }), passes(a) && passes(b))
      assert.equal(passes({ any: [a, b] }), passes(a) || passes(b))
      assert.equal(passes({ not: { all: [a, b] } }), passes({ any: [{ not: a }, { not: b }] }))
      assert.equal(passes(a, b), passes(a) && passes(b))
    }),
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  fieldMatcher,
  labelMatcher,
  parseFieldSelector,
  parseLabelRequirements,
  parseLabelSelector,
  selectorMatcher,
  selectorRequirements,
  selectorText,
} from './selectors.ts'

const matches = (selector: string, labels: Record<string, string>): boolean =>
  parseLabelSelector(selector)(labels)

test('label selectors match as Kubernetes does', () => {
  const labels = { app: 'web', tier: 'front', n: '5', 'ex.dev/x': '' }
  const cases: readonly [selector: string, matches: boolean][] = [
    ['', true],
    ['app=web', true],
    ['app==web', true],
    ['app=db', false],
    ['app!=db', true],
    ['missing!=x', true],
    ['missing=', false],
    ['ex.dev/x=', true],
    ['app in (web, db)', true],
    ['app in (db)', false],
    ['app notin (db)', true],
    ['missing notin (db)', true],
    ['app', true],
    ['!app', false],
    ['!missing', true],
    ['app,tier=front', true],
    ['app=web,tier=back', false],
    ['n>4', true],
    ['n > 5', false],
    ['n<10', true],
    ['app>1', false],
    [' app = web , tier in (front) ', true],
    ['toString', false],
  ]
  for (const [selector, expected] of cases)
    assert.equal(matches(selector, labels), expected, selector)
  assert.equal(parseLabelSelector('!x')(undefined), true)
  assert.equal(parseLabelSelector('x')(undefined), false)
})

test('what is no label selector is refused', () => {
  for (const bad of [
    'a b',
    'a=b=c',
    'a in b',
    'a in (b',
    '=b',
    ',a',
    'a,,b',
    'a>x',
    'a=b c',
    '(',
    'a@b',
    `${'x'.repeat(64)}=1`,
  ])
    assert.throws(() => parseLabelSelector(bad), /^StatusError: unable to parse requirement: /, bad)
})

test('LabelSelector objects: nothing, everything, and both parts together', () => {
  assert.equal(selectorMatcher(undefined)({ a: 'b' }), false)
  assert.equal(selectorMatcher({})({}), true)
  const selector = {
    matchLabels: { b: '1' },
    matchExpressions: [
      { key: 'a', operator: 'In', values: ['y', 'x'] },
      { key: 'c', operator: 'DoesNotExist' },
    ],
  }
  assert.equal(selectorMatcher(selector)({ a: 'x', b: '1' }), true)
  assert.equal(selectorMatcher(selector)({ a: 'x', b: '1', c: '' }), false)
  assert.equal(selectorText(selector), 'a in (x,y),b=1,!c')
  assert.throws(
    () => selectorRequirements({ matchExpressions: [{ key: 'a', operator: 'Is' }] }),
    /"Is" is not a valid label selector operator/,
  )
})

const name = fc
  .stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/)
  .filter((each) => each !== 'in' && each !== 'notin')
const labels = fc.dictionary(name, name, { maxKeys: 4 })

test("property: a selector made of an object's own labels selects it, and its text means the same", () => {
  fc.assert(
    fc.property(labels, labels, (own, other) => {
      const selector = { matchLabels: own }
      assert.ok(selectorMatcher(selector)({ ...other, ...own }))
      assert.equal(
        parseLabelSelector(selectorText(selector))(other),
        selectorMatcher(selector)(other),
      )
    }),
  )
})

test('property: any text is either parsed or refused as BadRequest, quickly', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      try {
        labelMatcher(parseLabelRequirements(text))({ a: 'b' })
      } catch (thrown) {
        assert.ok(thrown instanceof Error && thrown.name === 'StatusError', String(thrown))
      }
    }),
  )
})

test('field selectors: operators, escapes, unknown fields', () => {
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns' },
    phase: 'a,b=c',
  }
  const selects = (text: string): boolean =>
    fieldMatcher<typeof object>(parseFieldSelector(text), { 'status.phase': (each) => each.phase })(
      object,
    )
  assert.equal(selects(''), true)
  assert.equal(selects('metadata.name=p,metadata.namespace==ns'), true)
  assert.equal(selects('metadata.name!=p'), false)
  assert.equal(selects('status.phase=a\\,b\\=c'), true)
  assert.equal(selects('status.phase='), false)
  assert.throws(() => selects('spec.foo=1'), /field label not supported: spec.foo/)
  assert.throws(() => selects('constructor=1'), /field label not supported: constructor/)
  assert.throws(
    () => selects('nonsense'),
    /invalid selector: 'nonsense'; can't understand 'nonsense'/,
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pattern, PatternError } from './pattern.ts'

const whole = (source: string, text: string): boolean => new Pattern(source).matches(text)

/** Sources of which JavaScript's own regular expressions think the same. */
const source = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('a', 'b', 'ab', '.', '[ab]', '[^a]', '[a-c]', '\\d', '\\.', '^', '$', ''),
    fc.tuple(tie('node'), tie('node')).map(([one, other]) => one + other),
    fc.tuple(tie('node'), tie('node')).map(([one, other]) => `(?:${one}|${other})`),
    fc
      .tuple(tie('node'), fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{0,}', '*?', '+?'))
      .map(([one, times]) => `(${one})${times}`),
  ),
})).node

test('says what RegExp says, for whole texts', () => {
  fc.assert(
    fc.property(
      source,
      fc.array(fc.constantFrom('a', 'b', 'c', '1', '.'), { maxLength: 8 }),
      (s, letters) => {
        const text = letters.join('')
        assert.equal(whole(s, text), new RegExp(`^(?:${s})$`).test(text), `${s} on "${text}"`)
      },
    ),
    { numRuns: 800 },
  )
})

test('one pattern for many texts keeps its answers, with more states than it may remember', () => {
  // The tenth letter from the end is an a: 1024 states.
  const pattern = new Pattern('[ab]*a[ab]{9}')
  const reference = /^[ab]*a[ab]{9}$/
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 60 }), (text) => {
      assert.equal(pattern.matches(text), reference.test(text))
    }),
    { numRuns: 500 },
  )
})

test('patterns that make backtracking explode take linear time', () => {
  const text = 'a'.repeat(20_000)
  for (const source of ['(a+)+', '(a|a)*']) assert.ok(whole(source, text), source)
  for (const source of ['(a*)*b', '(.*)*x', 'a*a*a*a*a*a*a*a*b', '(a?){500}a{500}'])
    assert.ok(!whole(source, text), source)
})

test("RE2's syntax", () => {
  const yes: readonly [string, string][] = [
    ['/v[0-9]+/.*', '/v12/users'],
    ['(?i)blue|GREEN', 'Green'],
    ['(?i:a)b', 'Ab'],
    ['(?P<name>x)(?<other>y)', 'xy'],
    ['[[:alpha:]_]+', 'ab_C'],
    ['[[:^digit:]]', 'x'],
    ['[]a]+', ']a'],
    ['[a-]+', 'a-'],
    ['[\\w.-]+', 'a.b-c'],
    ['\\x41\\x{42}', 'AB'],
    ['a{,3}', 'a{,3}'],
    ['\\Aa\\z', 'a'],
    ['^/a$', '/a'],
    ['ü', Buffer.from('ü').toString('latin1')],
    ['', ''],
    ['x|', ''],
    ['(?s)a.b', 'a\nb'],
    ['(?s:a.)b.', 'a\nbc'],
  ]
  for (const [source, text] of yes) assert.ok(whole(source, text), `${source} on ${text}`)
  for (const [source, text] of [
    ['a', 'ab'],
    ['(?i:a)b', 'AB'],
    ['a|b', 'ab'],
    ['(?s:a.)b.', 'a\nb\n'],
    ['(?:a(?i)b)c', 'aBC'],
  ] as const)
    assert.ok(!whole(source, text), `${source} on ${text}`)
})

test('bad patterns are refused with the place; none runs away', () => {
  const bad: readonly [string, RegExp][] = [
    ['(a', /a group is not closed \(at character 3\)/],
    ['a)', /unexpected "\)" \(at character 2\)/],
    ['[a', /"\[" is not closed/],
    ['*a', /nothing to repeat/],
    ['a**', /put it into a group/],
    ['(?=a)', /lookaround/],
    ['(a)\\1', /back-references/],
    ['\\bfoo', /"\\b" is not known/],
    ['\\pL', /"\\p" is not known/],
    ['[z-a]', /backwards/],
    ['a{1001}', /more than 1000/],
    ['(a{1000}){1000}', /more than 2000 steps/],
    ['((((){1000}){1000}){1000}){1000}a{3,2}', /fewer/],
    ['a\\', /ends in a backslash/],
    ['('.repeat(200), /more than 100 deep/],
    ['a'.repeat(5000), /longer than 4096/],
  ]
  for (const [source, message] of bad)
    assert.throws(
      () => new Pattern(source),
      (error) => error instanceof PatternError && message.test(error.message),
      source.slice(0, 30),
    )
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.constantFrom(...'ab()[]{}|*+?\\^$.,12:-i<>P'.split('')),
        maxLength: 30,
      }),
      (s) => {
        try {
          new Pattern(s).matches('ab12')
        } catch (error) {
          assert.ok(error instanceof PatternError)
        }
      },
    ),
    { numRuns: 800 },
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileCesql, type Attributes } from './cesql.ts'
import { CesqlSyntaxError } from './syntax.ts'

const event: Attributes = {
  specversion: '1.0',
  id: 'myId',
  source: 'http://localhost/source',
  type: 'com.example.error',
  subject: 'Francesco',
  hop: '5',
  ttl: '10',
  truth: true,
  number: 10,
  ext: 'abc123123%456_dzf',
  empty: '',
}

/** Expression, value, and what went wrong: the conformance vectors of the specification as facts, and edges besides. */
const facts: readonly (readonly [string, string | number | boolean, string?])[] = [
  // literals
  ['TRUE', true],
  ['false', false],
  ['0', 0],
  ["'aBc'", 'aBc'],
  ['"aBc"', 'aBc'],
  [`'a"b\\'c'`, `a"b'c`],
  [`"a'b\\"c"`, `a'b"c`],
  ['+7', 7],
  [`'a\\nb'`, 'a\\nb'],
  // attributes
  ['id', 'myId'],
  ['SUBJECT', 'Francesco'],
  ['truth', true],
  ['number', 10],
  ['missing', false, 'missingAttribute'],
  ['EXISTS subject', true],
  ['EXISTS missing', false],
  ['exists id', true],
  ['EXISTS empty', false],
  ['NOT EXISTS missing', true],
  // comparisons
  ['TRUE = FALSE', false],
  ['FALSE = FALSE', true],
  ['1 = 2', false],
  ['2 = 2', true],
  ["'abc' = '123'", false],
  ["'abc' = 'abc'", true],
  ['missing = 2', false, 'missingAttribute'],
  ['TRUE != FALSE', true],
  ['2 <> 2', false],
  ["'abc' <> '123'", true],
  ['missing <> 2', false, 'missingAttribute'],
  ['2 <= 2', true],
  ['3 <= 2', false],
  ['1 < 2', true],
  ['2 < 2', false],
  ['2 >= 3', false],
  ['2 > 1', true],
  ['missing <= 2', false, 'missingAttribute'],
  ["true = 'TRUE'", false],
  ["'TRUE' = true", true],
  ['hop = 5', true],
  ['5 = hop', true],
  ['hop < ttl', true],
  ["'a' < 1", false, 'cast'],
  ['subject = 5', false, 'cast'],
  ['1 = 1 = TRUE', true],
  // arithmetic
  ['4 * 2 + 4 / 2', 10],
  ['4 * (2 + 4) / 2', 12],
  ['5 / 3', 1],
  ['-5 / 3', -1],
  ['-5 % 3', -2],
  ['5 / 0', 0, 'math'],
  ['5 % 0', 0, 'math'],
  ['missing / 0', 0, 'missingAttribute'],
  ['1 / missing', 0, 'missingAttribute'],
  ['-4 + -1', -5],
  ['4 - 1', 3],
  ["'5' + 3", 8],
  ["'5' + '3'", 8],
  ['5 + TRUE', 6],
  ['2147483647 + 1', 0, 'math'],
  ['missing * 5', 0, 'missingAttribute'],
  ['-10', -10],
  ['--10', 10],
  ["-'10'", -10],
  ["--'10'", 10],
  ['-TRUE', -1],
  ['-missing', 0, 'missingAttribute'],
  ['-(-2147483648)', 0, 'math'],
  ['-1 + 2', 1],
  ['0 * -1', 0],
  // logic
  ['FALSE AND TRUE', false],
  ['TRUE AND TRUE', true],
  ['false and (1 != 1 / 0)', false],
  ['true and (1 != 1 / 0)', false, 'math'],
  ['true or (1 != 1 / 0)', true],
  ['false or (1 != 1 / 0)', false, 'math'],
  ['FALSE XOR TRUE', true],
  ['TRUE XOR TRUE', false],
  ['TRUE OR FALSE AND FALSE', true],
  ['FALSE AND FALSE OR TRUE', false],
  ['NOT TRUE', false],
  ["NOT 'FALSE'", true],
  ['NOT 10', false],
  ["NOT 'x'", false, 'cast'],
  ['NOT missing', false, 'missingAttribute'],
  ["NOT true = 'false'", true],
  ["'a' AND TRUE", false, 'cast'],
  ['missing OR TRUE', false, 'missingAttribute'],
  ["id LIKE 'my%' OR missing = 1", true],
  // LIKE
  ["'abc' LIKE 'abc'", true],
  ["'ab\\c' LIKE 'ab\\c'", true],
  ["'abc' NOT LIKE 'abc'", false],
  ["'azzzbzzzc' LIKE 'a%b%c'", true],
  ["'ac' LIKE 'abc'", false],
  ["'' LIKE 'abc'", false],
  ["'' LIKE '%'", true],
  ["'.ab.cde.' LIKE '.%.%.'", true],
  ["'ab.cde' LIKE '.%.%.'", false],
  ["'abc' LIKE 'a_b_c'", false],
  ["'azbzc' LIKE 'a_b_c'", true],
  ["'abcd.' LIKE '._._.'", false],
  ["'a_b_c' LIKE 'a\\_b\\_c'", true],
  ["'azbzc' LIKE 'a\\_b\\_c'", false],
  ["'a%b%c' LIKE 'a\\%b\\%c'", true],
  ["'abc' LIKE 'a\\%b\\%c'", false],
  ["ext LIKE 'abc%123\\%456\\_d_f'", true],
  ["234 LIKE '23_'", true],
  ["2344 LIKE '23_'", false],
  ["TRUE LIKE '%ue'", true],
  ["missing LIKE 'x'", false, 'missingAttribute'],
  ["'😀' LIKE '_'", true],
  // IN
  ["subject IN ('a', 'Francesco')", true],
  ["subject NOT IN ('a')", true],
  ['5 IN (hop)', true],
  ['hop IN (5, 6)', true],
  ["1 IN ('x', 1)", false, 'cast'],
  ['missing IN (1)', false, 'missingAttribute'],
  // functions
  ["LENGTH('abc')", 3],
  ["LENGTH('')", 0],
  ['LENGTH(TRUE)', 4],
  ["LENGTH('😀')", 1],
  ["CONCAT('a', 'b')", 'ab'],
  ['CONCAT()', ''],
  ["CONCAT_WS(',', 'a', 'b')", 'a,b'],
  ["CONCAT_WS(',')", ''],
  ['CONCAT_WS()', false, 'missingFunction'],
  ["LOWER('AbC')", 'abc'],
  ["upper('AbC')", 'ABC'],
  ["TRIM('   a b c   ')", 'a b c'],
  ["LEFT('abc', 2)", 'ab'],
  ["LEFT('abc', 10)", 'abc'],
  ["LEFT('abc', -2)", 'abc', 'functionEvaluation'],
  ["RIGHT('abc', 2)", 'bc'],
  ["RIGHT('abc', 0)", ''],
  ["RIGHT('abc', -2)", 'abc', 'functionEvaluation'],
  ["SUBSTRING('abcdef', 2)", 'bcdef'],
  ["SUBSTRING('Sakila', -3)", 'ila'],
  ["SUBSTRING('abcdef', 2, 4)", 'bcde'],
  ["SUBSTRING('Sakila', -5, 3)", 'aki'],
  ["SUBSTRING('Quadratically', 0)", ''],
  ["SUBSTRING('abcdef', 10)", '', 'functionEvaluation'],
  ["SUBSTRING('abcdef', -10, 10)", '', 'functionEvaluation'],
  ["SUBSTRING('abc', 2, 99)", 'bc'],
  ["SUBSTRING('abc', 1, -1)", '', 'functionEvaluation'],
  ['ABS(-10)', 10],
  ['ABS(-2147483648)', 2147483647, 'math'],
  ["INT('-1')", -1],
  ['INT(TRUE)', 1],
  ["INT('ABC')", 0, 'cast'],
  ["INT('99999999999')", 0, 'cast'],
  ["BOOL('TRUE')", true],
  ["BOOL('ABC')", false, 'cast'],
  ['BOOL(-50)', true],
  ['BOOL(0)', false],
  ['STRING(FALSE)', 'false'],
  ['STRING(-1)', '-1'],
  ["IS_INT('ABC')", false],
  ["IS_INT('12')", true],
  ["IS_BOOL('tRue')", true],
  ["IS_BOOL('x')", false],
  ['NOPE(1)', false, 'missingFunction'],
  ['LENGTH(missing)', 0, 'missingAttribute'],
  ["LEFT('abc', 'x')", '', 'cast'],
  ['int(hop) < int(ttl) and int(hop) < 1000', true],
  ["(id = 'myId' AND type LIKE '%.error') OR (id = 'notmyId' AND source LIKE 'https://%')", true],
  ["(id = 'x' OR type LIKE '%.success') AND (id = 'myId' OR source LIKE 'https://%')", false],
]

test('every fact of the language holds', () => {
  for (const [text, value, problem] of facts) {
    const outcome = compileCesql(text)(event)
    assert.deepEqual([outcome.value, outcome.problem?.kind], [value, problem], text)
  }
})

test('IN binds tighter than arithmetic', () => {
  assert.equal(compileCesql('1 + 1 IN (1)')(event).value, 2)
})

test('what is no expression is refused with its place', () => {
  const wrong = [
    '',
    '1-1',
    '(',
    ')',
    '1 +',
    'a b',
    "'open",
    'LIKE',
    'a LIKE b',
    'a IN ()',
    'a IN 1',
    'EXISTS 1 2',
    '99999999999',
    'a = = b',
    'f(1',
    'NOT',
    'my_name',
    '💥',
    '(1))',
    'a LIKE',
    'EXISTS',
    'true()',
    'f (1)',
  ]
  for (const text of wrong) assert.throws(() => compileCesql(text), CesqlSyntaxError, text)
  assert.throws(() => compileCesql('a = )'), /found "\)" at 4, expected a value/)
  assert.throws(() => compileCesql('('.repeat(10_000)), /deeper than 200/)
  assert.throws(() => compileCesql(`${'NOT '.repeat(1000)}a`), /deeper than 200/)
  assert.throws(() => compileCesql('a'.repeat(20_000)), /too many/)
})

test('no text crashes it, and nothing an event says does', () => {
  const word = fc.constantFrom(
    ..."TRUE FALSE NOT AND OR XOR LIKE IN EXISTS ( ) , + - * / % = <> <= id missing number 1 -2 'a%' LENGTH( LEFT(".split(
      ' ',
    ),
  )
  fc.assert(
    fc.property(fc.array(word, { maxLength: 14 }), (words) => {
      let evaluate
      try {
        evaluate = compileCesql(words.join(' '))
      } catch (error) {
        assert.ok(error instanceof CesqlSyntaxError)
        return
      }
      assert.ok(['string', 'number', 'boolean'].includes(typeof evaluate(event).value))
    }),
    { numRuns: 500 },
  )
})

test('operators in a row nest as parentheses do: too many are told, not run out of stack', () => {
  assert.equal(compileCesql(`0${' + 1'.repeat(400)}`)({}).value, 400)
  for (const text of [
    `1${'=1'.repeat(8000)}`,
    `${'('.repeat(50)}1${`${'=1'.repeat(150)})`.repeat(50)}`,
  ])
    assert.throws(() => compileCesql(text), {
      name: 'CesqlSyntaxError',
      message: /deeper than 500/,
    })
  assert.throws(() => compileCesql(`a${" LIKE 'a'".repeat(1800)}`), /deeper than 500/)
})

test('what is put together of long texts has a bound', () => {
  const { value, problem } = compileCesql(`CONCAT(${'x, '.repeat(600)}'')`)({
    x: 'y'.repeat(1 << 20),
  })
  assert.equal(value, '')
  assert.match(problem?.message ?? '', /^CONCAT: 629145600 characters are too many: at most/)
  assert.equal(compileCesql(`CONCAT_WS('-', x, 'a')`)({ x: 'y' }).value, 'y-a')
})

test('a pattern that would look at a long text again and again is given up', () => {
  const { value, problem } = compileCesql(`x LIKE '%${'a'.repeat(10_000)}b%'`)({
    x: 'a'.repeat(1 << 20),
  })
  assert.equal(value, false)
  assert.match(problem?.message ?? '', /^LIKE: /)
})

test('a pattern of many wildcards takes no time', () => {
  const pattern = `${'%a'.repeat(2000)}%b`
  assert.equal(compileCesql(`ext LIKE '${pattern}'`)({ ext: 'a'.repeat(4000) }).value, false)
})

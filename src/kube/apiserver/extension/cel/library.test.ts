import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Budget, BudgetExceeded, celEngine, CelFailure, CelProblem, loadCel } from './engine.ts'
import { celValue } from './values.ts'

await loadCel()

const run = (source: string, self: unknown = {}): unknown =>
  celEngine()
    .compile(source, ['self', 'oldSelf'])
    .evaluate({ self: celValue(undefined, self), oldSelf: null }, new Budget(500_000))

test('Kubernetes functions', () => {
  const truths: readonly string[] = [
    `'a-b-c'.replace('-', '_') == 'a_b_c'`,
    `'a-b-c'.replace('-', '_', 1) == 'a_b-c'`,
    `'abc'.charAt(1) == 'b'`,
    `'abc'.upperAscii() == 'ABC' && ' a '.trim() == 'a'`,
    `'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'`,
    `'%s has %d of %.1f'.format(['x', 3, 1.25]) == 'x has 3 of 1.3'`,
    `'%s'.format([['a', 1]]) == '[a, 1]'`,
    `[1, 2, 3].isSorted() && ![2, 1].isSorted()`,
    `[1, 2, 3].sum() == 6 && [1, 5, 3].max() == 5 && [4, 2].min() == 2`,
    `['a', 'b'].indexOf('b') == 1 && ['a'].lastIndexOf('x') == -1`,
    `sets.contains([1, 2, 3], [2, 3]) && sets.equivalent([1, 2], [2, 1, 1])`,
    `sets.intersects(['a'], ['a', 'b']) && !sets.intersects(['a'], ['b'])`,
    `'abc 123 x45'.find('[0-9]+') == '123'`,
    `'abc 123 x45'.findAll('[0-9]+') == ['123', '45']`,
    `'abc 123 x45'.findAll('[0-9]+', 1) == ['123']`,
    `'foo.bar'.matches('^[a-z.]+$') && 'xay'.matches('a') && !'x'.matches('a')`,
    `matches('abc', 'b')`,
    `url('https://example.com:80/path?q=1').getHost() == 'example.com:80'`,
    `url('https://example.com:80/path?q=1').getPort() == '80'`,
    `url('https://a.b/p').getHostname() == 'a.b' && url('https://a.b/p').getScheme() == 'https'`,
    `isURL('https://a.b') && !isURL('not a url') && url('/a').getEscapedPath() == '/a'`,
    `url('https://a.b/p?q=1&q=2').getQuery()['q'] == ['1', '2']`,
    `quantity('1Gi').isGreaterThan(quantity('1M')) && quantity('500m').isLessThan(quantity('1'))`,
    `quantity('1').add(quantity('500m')).compareTo(quantity('1500m')) == 0`,
    `isQuantity('20Mi') && !isQuantity('20x') && quantity('2').asInteger() == 2`,
    `isIP('10.0.0.1') && isIP('::1') && !isIP('10.0.0.300')`,
    `ip('127.0.0.1').isLoopback() && ip('::1').family() == 6`,
    `cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')`,
    `cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('::/0').prefixLength() == 0`,
    `isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0')`,
    `!format.dns1123Label().validate('good-name').hasValue()`,
    `format.dns1123Label().validate('Bad_name').hasValue()`,
    `format.named('uuid').hasValue()`,
    `duration('1h') > duration('30m') && timestamp('2024-01-01T00:00:00Z') < timestamp('2025-01-01T00:00:00Z')`,
    `type(1) == int && 'a' in {'a': 1} && 1 in [1, 2]`,
    `optional.of(1).orValue(2) == 1 && self.?missing.orValue('x') == 'x'`,
    `dyn(1) == 1.0 && [1, 2].exists_one(x, x == 2) && [1, 2].map(x, x * 2) == [2, 4]`,
    `self.list.all(x, x < 3) && self.map.exists(k, k == 'a') && has(self.map.a)`,
    `'__namespace__' in self && self.__namespace__ == 'x' && self.foo__dash__bar == 1`,
  ]
  const self = { list: [1, 2], map: { a: 1 }, namespace: 'x', 'foo-bar': 1 }
  for (const truth of truths) assert.equal(run(truth, self), true, truth)
})

test('mistakes: what cannot be read, what is not known, what fails', () => {
  const refused = (source: string) =>
    assert.throws(
      () => celEngine().compile(source, ['self']),
      (thrown) => thrown instanceof CelProblem && thrown.refuses,
      source,
    )
  refused('self.a >')
  refused('unknown == 1')
  refused('1 + "a"')
  assert.throws(
    () => celEngine().compile('self.a.something()', ['self']),
    (thrown) => thrown instanceof CelProblem && !thrown.refuses,
  )
  assert.throws(() => run('self.missing == 1'), { message: /^no such key: missing/ })
  assert.throws(() => run('1 / 0 == 1'), CelFailure)
  assert.throws(() => run('self.constructor.name == "x"'), CelFailure)
})

test('hostile expressions end within their budget', () => {
  const many = Array.from({ length: 300 }, (_, i) => i)
  const hostile: readonly [string, unknown][] = [
    ['self.all(a, self.all(b, self.all(c, self.all(d, a + b + c + d >= 0))))', many],
    ['self.exists(a, self.all(b, self.all(c, false || self.exists(d, d < 0))))', many],
    [
      'cel.bind(a, self + self, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, cel.bind(e, d + d, cel.bind(f, e + e, size(f + f) > 0))))))',
      'x'.repeat(1_000_000),
    ],
    ['self.map(x, self).map(x, self.map(y, self)).size() > 0', many],
    [`self.matches('(a+)+$') || self.find('(a|aa)+$') == ''`, 'a'.repeat(2000) + '!'],
  ]
  for (const [source, self] of hostile) {
    const startMs = performance.now()
    try {
      run(source, self)
    } catch (thrown) {
      assert.ok(thrown instanceof CelFailure, `${source}: ${String(thrown)}`)
    }
    assert.ok(performance.now() - startMs < 5000, source)
  }
  assert.throws(() => run(hostile[0]![0], many), BudgetExceeded)
})

const token = fc.constantFrom(
  ...`self .a .b [0] ["k"] + - * / % == != < && || ! ? : ( ) [ ] { } , 1 1.5 2u "x" null true in has(self.a) .size() .all(x,x==1)
  .map(y,y+1) .filter(z,z) .matches("a+") .find("a") .split(",") .join("-") .format([1]) quantity("1Gi") ip("1.2.3.4") cidr("10.0.0.0/8")
  url("https://a") duration("1h") .getHours() optional.of(1) .orValue(2) .optMap(v,v) .?a int("1") type(1) cel.bind(w,1,w) .sum()
  .indexOf("x") .substring(1) .constructor .__proto__ //`.split(/\s+/),
)

test('any expression is read or refused, and ends or fails', () => {
  fc.assert(
    fc.property(
      fc.array(token, { minLength: 1, maxLength: 9 }),
      fc.jsonValue({ maxDepth: 3 }),
      (tokens, value) => {
        try {
          run(tokens.join(''), value)
        } catch (thrown) {
          assert.ok(thrown instanceof CelProblem || thrown instanceof CelFailure, String(thrown))
        }
      },
    ),
    { numRuns: 1000 },
  )
})

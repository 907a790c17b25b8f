import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findHeadEnd, parseRequestHead } from '../../../lib/http1/head.ts'
import type { Path, StringMatch } from '../feed.ts'
import { matches, requestMatch } from './request-match.ts'

const headOf = (method: string, target: string, lines: readonly string[] = []) => {
  const bytes = Buffer.from(
    `${method} ${target} HTTP/1.1\r\nHost: h\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`,
  )
  return parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 50)
}
const takes = (
  path: Partial<Path>,
  target: string,
  lines: readonly string[] = [],
  method = 'GET',
  scheme: 'http' | 'https' = 'http',
) => matches(requestMatch({ splits: [], ...path }), headOf(method, target, lines), scheme)

test('scheme: what the client speaks, whatever else is asked', () => {
  const over = (path: Partial<Path>, scheme: 'http' | 'https') =>
    takes(path, '/a', [], 'GET', scheme)
  assert.equal(over({}, 'https'), true)
  assert.equal(over({ scheme: 'https' }, 'https'), true)
  assert.equal(over({ scheme: 'https' }, 'http'), false)
  assert.equal(over({ scheme: 'http', path: '/a' }, 'http'), true)
  assert.equal(over({ scheme: 'http', path: '/a' }, 'https'), false)
})

test('paths: literal, by segment, exact, by regular expression', () => {
  const table: readonly [Path['pathType'], string, string, boolean][] = [
    [undefined, '/a', '/ab', true],
    ['literal', '/a', '/b', false],
    ['literal', '/ab', '/a?b', false],
    ['literal', '', '/x', true],
    ['prefix', '/a', '/ab', false],
    ['prefix', '/a', '/a', true],
    ['prefix', '/a', '/a/b?c=/d', true],
    ['prefix', '/a/', '/a', true],
    ['prefix', '/a/', '/a/b', true],
    ['prefix', '/a/b', '/a?/b', false],
    ['prefix', '/', '/anything', true],
    ['prefix', '/a', '/A', false],
    ['exact', '/a', '/a', true],
    ['exact', '/a', '/a?x=y', true],
    ['exact', '/a', '/a/', false],
    ['exact', '/a?x', '/a?x', false],
    ['regex', '/v[0-9]+', '/v12?x', true],
    ['regex', '/v[0-9]+', '/v12/x', false],
    ['regex', '/(a|b)/.*', '/b/c/d', true],
  ]
  for (const [pathType, path, target, expected] of table)
    assert.equal(
      takes({ path, ...(pathType && { pathType }) }, target),
      expected,
      `${pathType} ${path} on ${target}`,
    )
})

test('headers: any case of the name, all must match, lines of one name are one value', () => {
  const headers = { 'X-Color': { exact: 'blue, red' }, agent: { regex: 'curl/[78].*' } }
  assert.ok(takes({ headers }, '/', ['x-color: blue', 'Agent: curl/8.1', 'X-COLOR: red']))
  assert.ok(!takes({ headers }, '/', ['x-color: blue', 'Agent: curl/8.1']))
  assert.ok(!takes({ headers }, '/', ['x-color: blue, red', 'Agent: curl/6']))
  assert.ok(!takes({ headers }, '/', []))
  assert.ok(takes({ headers: { name: { exact: 'Zoë' } } }, '/', ['name: Zoë']))
})

test('query: the first value of a name, escapes resolved', () => {
  const query = { q: { exact: 'a b' }, ü: { regex: '.+' } }
  assert.ok(takes({ query }, '/?q=a+b&%C3%BC=1'))
  assert.ok(takes({ query }, '/?%C3%BC=%31&q=a%20b&q=c'))
  assert.ok(!takes({ query }, '/?q=c&q=a+b&%C3%BC=1'))
  assert.ok(!takes({ query }, '/?%C3%BC=1'))
  assert.ok(!takes({ query }, '/'))
  assert.ok(takes({ query: { flag: { exact: '' } } }, '/?flag'))
  assert.ok(!takes({ query: { q: { exact: '%zz' } } }, '/?q=x&%zz&%'))
})

test('methods are names in their own case', () => {
  assert.ok(takes({ methods: ['GET', 'HEAD'] }, '/', [], 'HEAD'))
  assert.ok(!takes({ methods: ['GET'] }, '/', [], 'POST'))
})

test('a bad regular expression names its place', () => {
  assert.throws(
    () => requestMatch({ splits: [], headers: { 'x-a': { regex: '(b' } } }),
    /the regular expression of the header "x-a", "\(b", a group is not closed/,
  )
})

// -- against a naive reference ----------------------------------------------------------------------------------------

const compare = (match: StringMatch, value: string | undefined): boolean =>
  value !== undefined &&
  ('exact' in match ? match.exact === value : new RegExp(`^(?:${match.regex})$`).test(value))

function naive(path: Path, method: string, target: string, lines: readonly string[]): boolean {
  const url = new URL(target, 'http://h')
  const headers = new Headers(
    lines.map((line): [string, string] => {
      const [name = '', value = ''] = line.split(': ')
      return [name, value]
    }),
  )
  const wanted = path.path ?? ''
  const segments = (text: string): string[] => text.replace(/\/+$/, '').split('/')
  const pathTakes = (): boolean => {
    if (wanted === '') return true
    if (path.pathType === 'exact') return url.pathname === wanted
    if (path.pathType === 'regex') return compare({ regex: wanted }, url.pathname)
    if (path.pathType === 'prefix')
      return segments(wanted).every((segment, i) => url.pathname.split('/')[i] === segment)
    return url.pathname.slice(0, wanted.length) === wanted
  }
  return (
    pathTakes() &&
    (!path.methods?.length || path.methods.includes(method)) &&
    Object.entries(path.headers ?? {}).every(([name, match]) =>
      compare(match, headers.get(name) ?? undefined),
    ) &&
    Object.entries(path.query ?? {}).every(([name, match]) =>
      compare(match, url.searchParams.get(name) ?? undefined),
    )
  )
}

const segment = fc.constantFrom('a', 'ab', 'b', '')
const somePath = fc.array(segment, { minLength: 1, maxLength: 3 }).map((all) => `/${all.join('/')}`)
const someValue = fc.constantFrom('x', 'xy', 'y')
const someMatch: fc.Arbitrary<StringMatch> = fc.oneof(
  someValue.map((exact) => ({ exact })),
  fc.constantFrom('x.?', 'x|y', '.*y', '[^x]+').map((regex) => ({ regex })),
)
const someMatches = fc.dictionary(fc.constantFrom('k', 'l'), someMatch, { maxKeys: 2 })

test('says what a naive reading of the rules says', () => {
  const rule = fc.record({
    path: fc.oneof(somePath, fc.constant('')),
    pathType: fc.constantFrom<NonNullable<Path['pathType']>>('literal', 'prefix', 'exact'),
    methods: fc.subarray(['GET', 'PUT']),
    headers: someMatches,
    query: someMatches,
    splits: fc.constant([]),
  })
  const request = fc.record({
    method: fc.constantFrom('GET', 'PUT', 'POST'),
    path: somePath,
    query: fc.array(fc.tuple(fc.constantFrom('k', 'l'), someValue), { maxLength: 3 }),
    lines: fc.array(fc.tuple(fc.constantFrom('K', 'l'), someValue), { maxLength: 3 }),
  })
  fc.assert(
    fc.property(rule, request, (path, { method, path: asked, query, lines }) => {
      // A URL with two slashes in front would name a host.
      const clean = asked.replace(/^\/+/, '/')
      const target =
        clean + (query.length > 0 ? `?${query.map((pair) => pair.join('=')).join('&')}` : '')
      const text = lines.map((line) => line.join(': '))
      assert.equal(takes(path, target, text, method), naive(path, method, target, text))
    }),
    { numRuns: 3000 },
  )
})

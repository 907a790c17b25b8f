import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Path } from '../../serving/gateway/feed.ts'
import type { HostRules, Source } from './host-rules.ts'
import { sourceText } from './host-rules.ts'
import { compareRanks, describeMatch, matchText, rankOf } from './match.ts'
import { mergeHost } from './merge.ts'

const to = (host: string) => ({ splits: [{ host, percent: 100 }] })
const rules = (
  name: string,
  paths: readonly Partial<Path>[],
  more: Partial<Source> & { inOrder?: boolean } = {},
): HostRules => ({
  source: {
    kind: 'HTTPRoute',
    namespace: 'default',
    name,
    creationTimestamp: '2026-01-01T00:00:00Z',
    ...more,
  },
  hosts: [{ host: 'shop.example.com', visibility: 'ExternalIP' }],
  entries: paths.map((path, i) => ({ at: `spec.rules[${i}]`, path: { ...path, ...to(name) } })),
  inOrder: more.inOrder ?? false,
})
const merged = (...all: HostRules[]) => mergeHost(all).paths.map((path) => describeMatch(path))

test('exact paths, longer prefixes, methods, more headers, more query parameters: in this order', () => {
  const prefix = (path: string): Partial<Path> => ({ path, pathType: 'prefix' })
  const paths: Partial<Path>[] = [
    {},
    prefix('/shop'),
    { ...prefix('/shop'), headers: { a: { exact: '1' } } },
    { ...prefix('/shop'), methods: ['GET'] },
    { ...prefix('/shop'), query: { q: { exact: '1' } } },
    { ...prefix('/shop'), headers: { a: { exact: '1' }, b: { exact: '2' } } },
    prefix('/shop/cart'),
    { path: '/shop/[0-9]+', pathType: 'regex' },
    { path: '/s', pathType: 'exact' },
  ]
  assert.deepEqual(merged(rules('a', paths)), [
    'path exactly /s',
    'path like /shop/[0-9]+',
    'path prefix /shop/cart',
    'path prefix /shop and method GET',
    'path prefix /shop and header a: 1 and header b: 2',
    'path prefix /shop and header a: 1',
    'path prefix /shop and query parameter q: 1',
    'path prefix /shop',
    'any path',
  ])
})

test('a VirtualService keeps its own order among the rules of others', () => {
  const mine = rules(
    'mine',
    [{ path: '/a' }, { path: '/a/long/path' }, { path: '/b', pathType: 'exact' }],
    { kind: 'VirtualService', inOrder: true },
  )
  const other = rules('other', [{ path: '/a/l', pathType: 'prefix' }, {}])
  assert.deepEqual(merged(mine, other), [
    'path prefix /a/l',
    'path prefix /a',
    'path prefix /a/long/path',
    'path exactly /b',
    'any path',
  ])
})

test('of two that claim the same requests the younger one is left out, whole', () => {
  const first = rules('z', [
    { path: '/login', pathType: 'prefix', headers: { Foo: { exact: 'bar' } } },
  ])
  const second = rules(
    'a',
    [{ path: '/new' }, { path: '/login/', headers: { foo: { exact: 'bar' } } }],
    {
      kind: 'VirtualService',
      creationTimestamp: '2026-01-01T00:00:01Z',
    },
  )
  const { paths, refused } = mergeHost([second, first])
  assert.deepEqual(
    paths.map(({ splits }) => splits[0]?.host),
    ['z'],
  )
  const conflict = refused.get(second)
  assert.ok(conflict)
  assert.equal(sourceText(conflict.first), 'HTTPRoute default/z')
  assert.equal(describeMatch(conflict.entry.path), 'path prefix /login/ and header foo: bar')
})

test('a claim of one that was left out stands in nobody’s way', () => {
  const at = (second: number) => ({ creationTimestamp: `2026-01-01T00:00:0${second}Z` })
  const a = rules('a', [{ path: '/1' }], at(1))
  const b = rules('b', [{ path: '/1' }, { path: '/2' }], at(2))
  const c = rules('c', [{ path: '/2' }], at(3))
  const { refused } = mergeHost([c, b, a])
  assert.deepEqual([...refused.keys()], [b])
})

const value = fc.constantFrom('x', 'y')
const aPath: fc.Arbitrary<Partial<Path>> = fc.record(
  {
    path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/c'),
    pathType: fc.constantFrom('literal' as const, 'prefix' as const, 'exact' as const),
    methods: fc.subarray(['GET', 'POST']),
    headers: fc.dictionary(
      fc.constantFrom('h', 'H', 'i'),
      value.map((exact) => ({ exact })),
      { maxKeys: 2 },
    ),
    query: fc.dictionary(
      fc.constantFrom('q', 'r'),
      value.map((regex) => ({ regex })),
      { maxKeys: 2 },
    ),
  },
  { requiredKeys: [] },
)
const someRules = fc
  .array(
    fc.record({
      paths: fc.array(aPath, { maxLength: 4 }),
      second: fc.integer({ min: 0, max: 3 }),
      inOrder: fc.boolean(),
    }),
    { maxLength: 6 },
  )
  .map((all) =>
    all.map(({ paths, second, inOrder }, i) =>
      rules(`r${i}`, paths, { creationTimestamp: `2026-01-01T00:00:0${second}Z`, inOrder }),
    ),
  )

test('the same objects give the same host in whatever order they came', () => {
  fc.assert(
    fc.property(someRules, fc.integer(), (all, seed) => {
      const mixed = all.toSorted((a, b) => (a.source.name + seed < b.source.name + seed ? 1 : -1))
      const [one, other] = [mergeHost(all), mergeHost(mixed)]
      assert.deepEqual(one.paths, other.paths)
      assert.deepEqual(
        new Set([...one.refused.keys()].map(({ source }) => source.name)),
        new Set([...other.refused.keys()].map(({ source }) => source.name)),
      )
      // No request can be claimed twice, and every object that holds is whole.
      const texts = one.paths.map(matchText)
      assert.equal(new Set(texts).size, texts.length)
      for (const each of all)
        if (!one.refused.has(each))
          for (const { path } of each.entries) assert.ok(texts.includes(matchText(path)))
    }),
    { numRuns: 300 },
  )
})

test('without an author’s order no path stands behind a less specific one', () => {
  fc.assert(
    fc.property(someRules, (all) => {
      const { paths } = mergeHost(all.map((one) => ({ ...one, inOrder: false })))
      for (const [i, path] of paths.entries()) {
        const next = paths[i + 1]
        if (next) assert.ok(compareRanks(rankOf(path), rankOf(next)) <= 0)
      }
    }),
    { numRuns: 200 },
  )
})
